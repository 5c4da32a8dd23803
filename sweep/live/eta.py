"""When a sweep will end, judged by what its trials trained so far. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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


def survival(
    ended: Mapping[int, int], running: Iterable[int], most: int
) -> list[float]:
    """The share of trials that go on after 0, 1, ... epochs.

    Those still in training count, too, as far as they have come, or the first trials
    that a pruner stops would make all seem short (Kaplan and Meier's estimate).

    Args:
        ended: How many trials ended with how many epochs.
        running: The epoch of each trial in training.
        most: The last epoch to tell of.
    """
    reached = Counter(dict(ended)) + Counter(running)
    at_risk, alive, shares = reached.total(), 1.0, [1.0]
    at_risk -= reached[0]
    for epoch in range(1, most + 1):
        alive *= 1 - ended.get(epoch, 0) / at_risk if at_risk else 1.0
        at_risk -= reached[epoch]
        shares.append(alive)
    return shares


def epochs_left(epoch: int, planned: int, shares: Sequence[float]) -> float:
    """Epochs that a trial is expected to train from now on.

    Args:
        epoch: The epoch where it is, from 0.
        planned: Epochs that it trains if nobody stops it.
        shares: See `survival`.
    """
    if epoch >= planned or not shares[epoch]:
        return max(planned - epoch, 0)
    return sum(shares[epoch:planned]) / shares[epoch]


def all_epochs_left(
    running: Sequence[tuple[int, int]],
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
    most = max(planned, *(each for _, each in running), 0)
    shares = survival(ended, (epoch for epoch, _ in running), most)
    begun = sum(epochs_left(epoch, each, shares) for epoch, each in running)
    return begun + to_begin * epochs_left(0, planned, shares)


def sooner(trials_s: float | None, timeout_s: float | None) -> Eta | None:
    """When it will end: with its last trial, or with its time.

    Args:
        trials_s: Seconds until all trials have ended; None if nobody can tell yet.
        timeout_s: Seconds until the timeout; None if there is none.
    """
    if timeout_s is not None and (trials_s is None or timeout_s < trials_s):
        return Eta(max(timeout_s, 0.0), by_timeout=True)
    return None if trials_s is None else Eta(trials_s)
