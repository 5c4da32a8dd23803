"""When and where each trial ran, as MLflow's runs say it, and how busy workers were."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlflow.entities import Run

from sweep.experiment import Experiment
from sweep.runs import LANE, STATE, TRIAL, WORKER, read_runs, read_trial_runs
from sweep.trial import State

_PAUSE_S = 60.0  # in which nothing ran: no part of the sweep


@dataclass(frozen=True)
class Span:
    """One trial's time in a lane.

    Attributes:
        number: The trial's number.
        state: The trial's state.
        worker: Which worker trained it last.
        lane: Its place among those that the worker trains together.
        began_s: When it began, in seconds of the sweep, pauses left out.
        ended_s: When it ended, or now.
    """

    number: int
    state: State
    worker: str
    lane: int
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class Busy:
    """How much of a sweep's time a worker trained.

    Attributes:
        worker: Its node's name and its number in the pool.
        trials: How many it trained last.
        lanes: How many lanes it had use for.
        share: Of the time in which anything ran, from 0 to 1.
    """

    worker: str
    trials: int
    lanes: int
    share: float


def read_spans(experiment: Experiment, study: str) -> list[Span]:
    """Ask MLflow where the trials of a study ran.

    Args:
        experiment: Whose study it is.
        study: What tells it from others of its name.

    Returns:
        A span for each trial that a worker has trained, in the order of their starts.
        A trial that was interrupted has its whole time before its end.

    Raises:
        StoreError: if MLflow cannot be reached.
    """
    runs = read_trial_runs(experiment, read_runs(experiment, study, None))
    return spans_of(runs, time.time())


def spans_of(runs: Iterable[Run], now_s: float) -> list[Span]:
    """The spans of trials' runs.

    Args:
        runs: Of trials.
        now_s: The time, in seconds since 1970, for those that have not ended.
    """
    spans = []
    for run in runs:
        tags, info = run.data.tags, run.info
        if not tags.get(WORKER) or State(tags[STATE]) is State.WAITING:
            continue
        ended = now_s if info.end_time is None else info.end_time / 1000
        trained = run.data.metrics.get("seconds", ended - info.start_time / 1000)
        began = max(info.start_time / 1000, ended - trained)
        place = tags[WORKER], int(tags[LANE])
        state = State(tags[STATE])
        spans.append(Span(int(tags[TRIAL]), state, *place, began, ended))
    spans.sort(key=lambda span: (span.began_s, span.number))
    return without_pauses(spans)


def without_pauses(spans: Sequence[Span]) -> list[Span]:
    """Count from the first start, and leave out the time in which nothing ran.

    Args:
        spans: In the order of their starts.
    """
    moved, left_out, latest = [], spans[0].began_s if spans else 0.0, None
    for span in spans:
        if latest is not None and span.began_s - latest > _PAUSE_S:
            left_out += span.began_s - latest
        latest = max(span.ended_s, latest or 0.0)
        began, ended = span.began_s - left_out, span.ended_s - left_out
        place = span.worker, span.lane
        moved.append(Span(span.number, span.state, *place, began, ended))
    return moved


def busy(spans: Sequence[Span]) -> list[Busy]:
    """How busy each worker was, in the order of their names."""
    total = _covered(spans)
    found = []
    for worker in sorted({span.worker for span in spans}):
        own = [span for span in spans if span.worker == worker]
        share = _covered(own) / total if total else 0.0
        found.append(Busy(worker, len(own), len({s.lane for s in own}), share))
    return found


def _covered(spans: Iterable[Span]) -> float:
    """Seconds in which at least one of them ran."""
    covered, until = 0.0, 0.0
    for span in sorted(spans, key=lambda span: span.began_s):
        covered += max(span.ended_s - max(span.began_s, until), 0.0)
        until = max(until, span.ended_s)
    return covered
