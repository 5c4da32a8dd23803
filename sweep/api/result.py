"""What a study has found, as tables and figures."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pandas as pd
import plotly.graph_objects as go
from optuna.trial import FrozenTrial

from sweep.distributions import nearest
from sweep.errors import UsageError
from sweep.experiment import Experiment
from sweep.plots.figures import draw, plots
from sweep.plots.spans import Span, spans_of
from sweep.plots.study_data import StudyData, read_study
from sweep.runs import TRIAL, RunIds, read_runs, read_trial_runs
from sweep.summary import to_record
from sweep.trial import State, StudySummary, TrialRecord


@dataclass(frozen=True, repr=False)
class Result:
    """A study at the moment when it was read.

    Attributes:
        experiment: What was run.
        summary: How many trials are in each state, and the best ones.
        runs: Where the study is in MLflow.
    """

    experiment: Experiment
    summary: StudySummary
    runs: RunIds
    _data: StudyData
    _run_ids: Mapping[int, str]
    _spans: Sequence[Span]

    @classmethod
    def read(cls, experiment: Experiment) -> Self:
        """Read what the stores say of an experiment, changing and running nothing.

        Raises:
            StoreError: if it has not been run, or a store cannot be read.
        """
        data = read_study(experiment)
        best = data.summary.best
        number = None if best is None else best.number
        runs = read_runs(experiment, data.summary.study, number)
        trial_runs = read_trial_runs(experiment, runs)
        ids = {int(run.data.tags[TRIAL]): run.info.run_id for run in trial_runs}
        spans = spans_of(trial_runs, time.time())
        return cls(experiment, data.summary, runs, data, ids, spans)

    def __repr__(self) -> str:
        counts = ((state.value, self.counts[state]) for state in State)
        states = ", ".join(f"{count} {state}" for state, count in counts if count)
        best = self.best
        found = f", best: {best.value} (trial {best.number})" if best else ""
        return f"<Result of {self.experiment.name}: {states or 'no trials'}{found}>"

    @property
    def best(self) -> TrialRecord | None:
        """The best trial that is COMPLETE; None if none is."""
        return self.summary.best

    @property
    def counts(self) -> Mapping[State, int]:
        """Number of trials by state."""
        return self.summary.counts

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row for each trial, by its number.

        Its columns are `state`, `value`, `epoch`, each searched setting by its name,
        `seconds`, `reason` and `run_id`.
        """
        rows = [self._row(trial) for trial in self._data.trials()]
        columns = ["state", "value", "epoch", *self.experiment.space]
        columns += ["seconds", "reason", "run_id"]
        return pd.DataFrame(rows, columns=["number", *columns]).set_index("number")

    def figures(self) -> dict[str, go.Figure]:
        """Every plot that there is something to show for, by name."""
        return draw(self._data, self._spans)

    def plot(self, name: str = "history") -> go.Figure:
        """One plot.

        Raises:
            UsageError: if there is none of that name; it names those that there are.
        """
        there = plots(self._data, self._spans)
        if name not in there:
            close = nearest(name, list(there))
            hint = f" (did you mean {close}?)" if close else ""
            raise UsageError(
                f"plot: found {name!r}; allowed: {', '.join(there) or 'none'}{hint}"
            )
        return there[name]()

    def _row(self, trial: FrozenTrial) -> dict[str, Any]:
        record = to_record(self.experiment, trial)
        seconds = None if trial.duration is None else trial.duration.total_seconds()
        searched = (key for key in self.experiment.space if key in record.hparams)
        return {
            "number": record.number,
            "state": record.state.value,
            "value": record.value,
            "epoch": record.epoch,
            **{key: record.hparams[key] for key in searched},
            "seconds": seconds,
            "reason": record.reason,
            "run_id": self._run_ids.get(record.number),
        }
