"""All that a report says, read from both stores and put in the order of the page."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from sweep.errors import ModelError
from sweep.experiment import Experiment
from sweep.plots.confusion import confusion_matrix
from sweep.plots.figures import draw
from sweep.plots.spans import Busy, busy, read_spans
from sweep.plots.study_data import StudyData, read_study
from sweep.report.network import Network, read_network
from sweep.report.origin import Origin, read_origin
from sweep.space import Distribution
from sweep.summary import to_record
from sweep.trial import HParam, State, TrialRecord
from sweep.verdict import DIVERGED
from sweep.words import last_line

_BEST = 10  # trials in the table


@dataclass(frozen=True)
class Searched:
    """A searched setting.

    Attributes:
        name: The setting.
        space: What it was drawn from.
        importance: Share of the differences in value that it explains; None if unknown.
        best: What the best trial has; None if it has none.
    """

    name: str
    space: str
    importance: float | None
    best: HParam | None


@dataclass(frozen=True)
class Trouble:
    """Trials that ended badly, all for the same reason.

    Attributes:
        state: FAIL, or PRUNED for those that diverged.
        reason: The last line of what is known.
        details: All that is known of the first of them, if it is more.
        numbers: The trials' numbers.
    """

    state: State
    reason: str
    details: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Contents:
    """What is in a report.

    Attributes:
        experiment: What was searched.
        key: What tells the study from others of its name.
        made_s: When the report was made, in seconds since 1970.
        counts: Number of trials by state.
        best: The best trial that is complete; None if none is.
        ranking: The best trials, best first.
        seconds: How long the sweep ran, pauses left out; None if unknown.
        searched: The searched settings.
        constants: The other settings.
        figures: The plots that have something to show, by name.
        busy: How busy each worker was.
        endings: Trials that failed or diverged, by reason.
        network: The best network; None if it cannot be looked at.
        no_network: Why it cannot.
        origin: Where all this comes from.
    """

    experiment: Experiment
    key: str
    made_s: float
    counts: Mapping[State, int]
    best: TrialRecord | None
    ranking: tuple[TrialRecord, ...]
    seconds: float | None
    searched: tuple[Searched, ...]
    constants: Mapping[str, HParam]
    figures: Mapping[str, go.Figure]
    busy: tuple[Busy, ...]
    endings: tuple[Trouble, ...]
    network: Network | None
    no_network: str
    origin: Origin

    @property
    def done(self) -> int:
        """Number of trials that are COMPLETE or PRUNED."""
        return self.counts[State.COMPLETE] + self.counts[State.PRUNED]

    @property
    def is_done(self) -> bool:
        """Whether the study has all the trials that were asked for."""
        return self.done >= self.experiment.trials


def gather(experiment: Experiment, file: Path, overrides: Sequence[str]) -> Contents:
    """Read all that a report says; changes nothing and downloads nothing.

    Args:
        experiment: Whose study it is.
        file: The YAML, as it was called.
        overrides: `dotted.key=value` each.

    Raises:
        StoreError: if there is no such study, or a store cannot be read.
    """
    data = read_study(experiment)
    summary = data.summary
    spans = read_spans(experiment, summary.study)
    network, no_network = _network(experiment)
    figures = draw(data, spans)
    if network is not None and network.evaluation is not None:
        counts = network.evaluation.confusion, network.evaluation.classes
        figures["confusion_matrix"] = confusion_matrix(*counts)
    return Contents(
        experiment=experiment,
        key=summary.study,
        made_s=time.time(),
        counts=summary.counts,
        best=summary.best,
        ranking=summary.ranking[:_BEST],
        seconds=max((span.ended_s for span in spans), default=None),
        searched=_searched(data),
        constants=_constants(experiment),
        figures=figures,
        busy=tuple(busy(spans)),
        endings=_endings(data),
        network=network,
        no_network=no_network,
        origin=read_origin(experiment, summary.study, file, overrides),
    )


def _network(experiment: Experiment) -> tuple[Network | None, str]:
    try:
        return read_network(experiment), ""
    except ModelError as error:
        return None, str(error)


def _searched(data: StudyData) -> tuple[Searched, ...]:
    importance = data.weights()
    best = data.summary.best
    hparams = {} if best is None else best.hparams
    return tuple(
        Searched(name, str(space), importance.get(name), hparams.get(name))
        for name, space in data.experiment.space.items()
    )


def _constants(experiment: Experiment) -> dict[str, HParam]:
    """Those that a trial can have; momentum, say, only with a rule that has one."""
    settings, searched = experiment.settings, experiment.space
    conditions = {key: experiment.condition(key) for key in settings}
    constants = {k: v for k, v in settings.items() if not isinstance(v, Distribution)}
    return {
        key: value
        for key, value in constants.items()
        if (condition := conditions[key]) is None
        or condition.key in searched
        or condition.holds(constants)
    }


def _endings(data: StudyData) -> tuple[Trouble, ...]:
    """Those that failed, and those that diverged, the most frequent reasons first."""
    records = [to_record(data.experiment, trial) for trial in data.trials()]
    bad = [r for r in records if r.state is State.FAIL or r.reason == DIVERGED]
    by_reason = Counter((record.state, last_line(record.reason)) for record in bad)
    endings = []
    for (state, line), _ in by_reason.most_common():
        own = [r for r in bad if (r.state, last_line(r.reason)) == (state, line)]
        details = (own[0].reason or "").strip()
        numbers = tuple(record.number for record in own)
        endings.append(
            Trouble(state, line, "" if details == line else details, numbers)
        )
    return tuple(endings)
