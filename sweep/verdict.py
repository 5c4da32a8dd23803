"""What becomes of a trial whose attempt has ended. Pure.

Each kind of ending has its own policy. What says something about the hyperparameters
counts; what says nothing about them is tried again, so often as its kind is worth.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from sweep.trial import Ending, State, TrialEnded

ATTEMPT, LOST, OUT_OF_MEMORY = "attempt", "lost", "out_of_memory"
DIVERGED = "diverged"  # a reason
_MAX_OUT_OF_MEMORY = 1  # times that a trial is tried again, on another device


@dataclass(frozen=True)
class Verdict:
    """What becomes of a trial.

    Attributes:
        state: Its state; WAITING if it is to be tried again.
        reason: Why it did not complete, if there is a reason beyond being pruned.
        counts: How often what has happened to it, as far as that changes.
    """

    state: State
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def judge(ended: TrialEnded, counts: Mapping[str, Any], max_lost: int) -> Verdict:
    """Decide what becomes of a trial.

    Args:
        ended: How its attempt ended.
        counts: How often what has happened to it; missing is never.
        max_lost: How often it is tried again after its worker was lost.
    """
    match ended.ending:
        case Ending.COMPLETE:
            verdict = Verdict(State.COMPLETE)
        case Ending.PRUNED:
            verdict = Verdict(State.PRUNED)
        case Ending.DIVERGED:
            # samplers look away from FAIL, and should learn to stay away from this
            verdict = Verdict(State.PRUNED, DIVERGED)
        case Ending.FAILED:
            verdict = Verdict(State.FAIL, ended.reason)
        case Ending.INTERRUPTED:
            verdict = _again(counts)
        case Ending.LOST:
            verdict = _again_at_most(max_lost, LOST, counts, ended)
        case Ending.OUT_OF_MEMORY:
            verdict = _again_at_most(_MAX_OUT_OF_MEMORY, OUT_OF_MEMORY, counts, ended)
        case _:
            assert_never(ended.ending)
    return verdict


def _again(counts: Mapping[str, Any], **more: int) -> Verdict:
    attempt = counts.get(ATTEMPT, 0) + 1
    return Verdict(State.WAITING, counts={ATTEMPT: attempt, **more})


def _again_at_most(
    most: int, kind: str, counts: Mapping[str, Any], ended: TrialEnded
) -> Verdict:
    times = counts.get(kind, 0) + 1
    if times > most:
        return Verdict(State.FAIL, ended.reason, {kind: times})
    return _again(counts, **{kind: times})
