"""What is to be written to one run of MLflow's at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mlflow.entities import Metric, Param

from sweep.runs import ATTEMPT, DEVICE, LANE, REASON, REBUILT, SAME_AS, STATE, WORKER
from sweep.trial import EpochReport, Event, PastTrial, State, TrialEnded, TrialSpec

_MAX_TAG = 5000  # characters; MLflow allows 8,000 bytes


@dataclass
class Batch:
    """All that is to be written to one run at once."""

    params: list[Param] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    last: Event | None = None


def fold(batch: Batch, event: Event) -> None:
    """Add an event to a batch."""
    said, time_ms = event.said, event.time_ms
    if isinstance(said, TrialSpec):
        batch.tags |= {STATE: State.RUNNING.value, ATTEMPT: str(said.attempt)}
        batch.params = [Param(k, str(v)) for k, v in said.hparams.items()]
        batch.params.append(Param("seed", str(said.seed)))
    elif isinstance(said, EpochReport):
        batch.metrics += _curve_points(said, time_ms)
        batch.tags |= {WORKER: said.worker, LANE: str(said.lane)}
        batch.tags |= {DEVICE: said.device} if said.device else {}
    else:
        assert event.record is not None
        batch.last = event
        batch.tags[STATE] = event.record.state.value
        if said.same_as is not None:
            batch.tags[SAME_AS] = str(said.same_as)
        if event.record.reason is not None:
            batch.tags[REASON] = event.record.reason[-_MAX_TAG:]
        if event.record.state.is_finished:
            # MLflow's page of comparisons shows the metric that came first
            batch.metrics[:0] = _last_points(said, time_ms)


def fold_past(batch: Batch, past: PastTrial) -> None:
    """Add what the study alone knows of a trial's curve, and say that it is so."""
    batch.tags[REBUILT] = "true"
    for epoch, value in past.curve.items():
        batch.metrics.append(Metric("val_accuracy", value, past.ended_ms, epoch))


def _curve_points(report: EpochReport, time_ms: int) -> Iterator[Metric]:
    for key in ("val_accuracy", "train_accuracy", "train_loss", "learning_rate"):
        yield Metric(key, getattr(report, key), time_ms, report.epoch)
    for iteration, loss in report.losses:
        yield Metric("loss", loss, time_ms, iteration)


def _last_points(ended: TrialEnded, time_ms: int) -> Iterator[Metric]:
    # at step 0: MLflow's UI draws anything later as a curve, of one point
    if ended.best_val_accuracy is not None:
        yield Metric("best_val_accuracy", ended.best_val_accuracy, time_ms, 0)
        yield Metric("best_epoch", ended.best_epoch or 0, time_ms, 0)
    yield Metric("seconds", ended.seconds, time_ms, 0)
