"""What is said between the driver and its workers: frozen, plain, picklable.

A trial is handed out as a TrialSpec, answers with one EpochReport an epoch, and leaves
with exactly one TrialEnded. Each message names its trial and attempt, so that a late
one of an abandoned attempt can be told from a current one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

HParam = bool | int | float | str
HParams = Mapping[str, HParam]


class State(StrEnum):
    """The states of a trial, as Optuna spells them."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def is_finished(self) -> bool:
        """Whether a trial in this state will never run again."""
        return self in (State.COMPLETE, State.PRUNED, State.FAIL)


class Ending(StrEnum):
    """Why an attempt left its worker."""

    COMPLETE = "complete"  # trained all its epochs
    PRUNED = "pruned"  # stopped, because the pruner said so
    INTERRUPTED = "interrupted"  # stopped, because the sweep is to end
    DIVERGED = "diverged"  # its loss was not finite
    FAILED = "failed"  # its code raised an exception
    OUT_OF_MEMORY = "out of memory"  # its device has no room for it, alone or not
    LOST = "lost"  # its worker died


@dataclass(frozen=True)
class TrialSpec:
    """One attempt of one trial, as a worker is handed it.

    Attributes:
        number: The trial's number in the study, from 0.
        attempt: Which execution of the trial this is, from 0.
        hparams: Every setting of model and solver, searched or fixed.
        seed: Seed of the initial weights and of every epoch's minibatches.
        folder: Where its state is kept while it trains, and found by its next attempt;
            None for nowhere.
        known_epochs: Epochs that the study has from earlier attempts; only later ones
            are reported.
    """

    number: int
    attempt: int
    hparams: HParams
    seed: int
    folder: str | None = None
    known_epochs: int = 0


@dataclass(frozen=True)
class EpochReport:
    """What one finished epoch of a trial measured.

    Attributes:
        number: The trial's number.
        attempt: The trial's attempt.
        epoch: The epoch that ended, from 1.
        train_loss: Mean of the epoch's minibatch losses, L2 term included.
        train_accuracy: Share of right answers on a sample of the training split.
        val_accuracy: Share of right answers on the validation split.
        learning_rate: The learning rate that the epoch was trained with.
        losses: Pairs of iteration (from 1, counted over all epochs) and loss, thinned.
        seconds: Time the epoch took, its evaluation included.
        worker: Which worker trained it: its node's name and its number in the pool.
        lane: The trial's place among those that the worker trains together, from 0.
        device: What it was trained on: `cpu` or `cuda`.
    """

    number: int
    attempt: int
    epoch: int
    train_loss: float
    train_accuracy: float
    val_accuracy: float
    learning_rate: float
    losses: tuple[tuple[int, float], ...]
    seconds: float
    worker: str = ""
    lane: int = 0
    device: str = ""


@dataclass(frozen=True)
class TrialEnded:
    """The last word of one attempt.

    Attributes:
        number: The trial's number.
        attempt: The trial's attempt.
        ending: Why it left.
        best_val_accuracy: The best epoch's accuracy; None if no epoch was finished.
        best_epoch: The epoch that reached it, from 1; None if none was finished.
        seconds: Time since the attempt began.
        checkpoint: The best epoch's checkpoint, encoded; None if there is none.
        reason: What happened, for people: the traceback of a FAILED attempt, say.
        same_as: The finished trial of the same hparams whose result this is, where
            nothing was trained.
    """

    number: int
    attempt: int
    ending: Ending
    best_val_accuracy: float | None = None
    best_epoch: int | None = None
    seconds: float = 0.0
    checkpoint: bytes | None = None
    reason: str | None = None
    same_as: int | None = None


@dataclass(frozen=True)
class Notice:
    """Something about a worker that people should know.

    Attributes:
        text: A sentence.
    """

    text: str


Message = EpochReport | TrialEnded | Notice


@dataclass(frozen=True)
class TrialRecord:
    """What the study knows of one trial.

    Attributes:
        number: The trial's number.
        state: The trial's state.
        value: The number told to the study; None if there is none.
        epoch: The best epoch, from 1; None if no epoch was finished.
        hparams: Every setting of model and solver.
        reason: Why it did not complete, if there is a reason beyond being pruned.
    """

    number: int
    state: State
    value: float | None
    epoch: int | None
    hparams: HParams
    reason: str | None


@dataclass(frozen=True)
class StudySummary:
    """What the study says: how many trials are in each state, and the best ones.

    Attributes:
        counts: Number of trials by state; every state is there.
        ranking: COMPLETE and PRUNED trials with a value, best first.
        study: What tells the study from others of its name; empty if there is none yet.
    """

    counts: Mapping[State, int]
    ranking: tuple[TrialRecord, ...]
    study: str = ""

    @property
    def done(self) -> int:
        """Number of trials that are COMPLETE or PRUNED."""
        return self.counts[State.COMPLETE] + self.counts[State.PRUNED]

    @property
    def best(self) -> TrialRecord | None:
        """The best trial that completed."""
        complete = (r for r in self.ranking if r.state is State.COMPLETE)
        return next(complete, None)


@dataclass(frozen=True)
class PastTrial:
    """A finished trial as the study has it, for those who have heard nothing of it.

    Attributes:
        spec: Its last attempt.
        ended: That attempt's end; without the checkpoint, which the study never had.
        record: What the study made of it.
        curve: The validation accuracy by epoch.
        began_ms: When the attempt began, in milliseconds since 1970.
        ended_ms: When it ended.
    """

    spec: TrialSpec
    ended: TrialEnded
    record: TrialRecord
    curve: Mapping[int, float]
    began_ms: int
    ended_ms: int


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial, for those who write it down.

    Attributes:
        time_ms: When it happened, in milliseconds since 1970.
        said: What happened; a TrialSpec is the start of an attempt.
        record: What the study made of it, if it is a TrialEnded.
    """

    time_ms: int
    said: TrialSpec | EpochReport | TrialEnded
    record: TrialRecord | None = None

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.said.number
