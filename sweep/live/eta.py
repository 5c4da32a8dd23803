"""When a sweep will end, judged by what its trials trained so far. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Eta:
    """When a sweep is expected to end.

    Attributes:
        seconds: From now on.
        by_timeout: Whether the study's timeout comes before its last trial.
    """

    seconds: float
    by_timeout: bool = False


def epochs_left(epoch: int, planned: int, ended: Mapping[int, int]) -> float:
    """Epochs that a trial is expected to train from now on.

    As many as those that came further than it has; all that are planned if none did.

    Args:
        epoch: The epoch where it is, from 0.
        planned: Epochs that it trains if nobody stops it.
        ended: How many trials ended with how many epochs.
    """
    further = {epochs: n for epochs, n in ended.items() if epochs > epoch}
    if not further:
        return max(planned - epoch, 0)
    total = sum(epochs * n for epochs, n in further.items())
    return total / sum(further.values()) - epoch


def all_epochs_left(
    running: Iterable[tuple[int, int]],
    to_begin: int,
    planned: int,
    ended: Mapping[int, int],
) -> float:
    """Epochs that a sweep is expected to train from now on.

    Args:
        running: Epoch and planned epochs of each trial in training.
        to_begin: Number of trials that have not begun.
        planned: Epochs of one of those if nobody stops it.
        ended: How many trials ended with how many epochs.
    """
    begun = sum(epochs_left(epoch, most, ended) for epoch, most in running)
    return begun + to_begin * epochs_left(0, planned, ended)


def sooner(trials_s: float | None, timeout_s: float | None) -> Eta | None:
    """When it will end: with its last trial, or with its time.

    Args:
        trials_s: Seconds until all trials have ended; None if nobody can tell yet.
        timeout_s: Seconds until the timeout; None if there is none.
    """
    if timeout_s is not None and (trials_s is None or timeout_s < trials_s):
        return Eta(max(timeout_s, 0.0), by_timeout=True)
    return None if trials_s is None else Eta(trials_s)
