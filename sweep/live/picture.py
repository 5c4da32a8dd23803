"""A sweep at one moment: all that there is to draw, and nothing that changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sweep.live.eta import Eta
from sweep.live.pace import Use
from sweep.trial import HParams, State, TrialEnded, TrialRecord


@dataclass
class Lane:
    """One trial in training.

    Attributes:
        number: The trial's number.
        epochs: Epochs that it trains if nobody stops it.
        hparams: Its settings, as far as they are known.
        curve: The validation accuracy by epoch, as far as it is known.
        worker: Who trains it; empty before its first epoch.
        place: Its place among those that the worker trains together, from 0.
    """

    number: int
    epochs: int
    hparams: HParams = field(default_factory=dict)
    curve: dict[int, float] = field(default_factory=dict)
    worker: str = ""
    place: int = 0

    @property
    def epoch(self) -> int:
        """The last epoch that it finished; 0 before the first."""
        return max(self.curve, default=0)


@dataclass(frozen=True)
class Ended:
    """How an attempt ended.

    Attributes:
        said: The worker's last word of it.
        record: What the study made of it.
    """

    said: TrialEnded
    record: TrialRecord


@dataclass(frozen=True)
class Warned:
    """Something that people should know.

    Attributes:
        time_ms: When it was said, in milliseconds since 1970.
        text: What was said.
        times: How often in a row.
    """

    time_ms: int
    text: str
    times: int = 1


@dataclass(frozen=True)
class Standing:
    """Why nothing happens.

    Attributes:
        text: A sentence.
        command: What people type to go on; empty if there is nothing left to do.
    """

    text: str
    command: str = ""


@dataclass(frozen=True)
class Picture:
    """A sweep at one moment.

    Attributes:
        name: The experiment's.
        keys: The settings that are searched.
        wanted: Trials wanted in all.
        counts: Number of finished trials by state.
        elapsed_s: Seconds since the driver began with trials.
        eta: When it will end; None if nobody can tell yet.
        trials_per_minute: That ended lately; None before the first.
        epochs_per_minute: Of all trials together; None before the first.
        use: How workers spent their time; None if nothing is known of it.
        lanes: Trials in training; None in a row that is free now.
        best: The best trials, best first.
        ended: Attempts that ended, the last one first.
        warnings: The newest first.
    """

    name: str
    keys: tuple[str, ...]
    wanted: int
    counts: Mapping[State, int]
    elapsed_s: float
    eta: Eta | None
    trials_per_minute: float | None
    epochs_per_minute: float | None
    use: Use | None
    lanes: tuple[Lane | None, ...]
    best: tuple[TrialRecord, ...]
    ended: tuple[Ended, ...]
    warnings: tuple[Warned, ...]

    @property
    def done(self) -> int:
        """Number of trials that are COMPLETE or PRUNED."""
        return self.counts[State.COMPLETE] + self.counts[State.PRUNED]
