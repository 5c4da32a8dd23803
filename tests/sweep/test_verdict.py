"""What becomes of a trial, by how its attempt ended and what came before."""

import pytest

from support import make_ended
from sweep.trial import Ending, State
from sweep.verdict import Verdict, judge


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        (Ending.COMPLETE, Verdict(State.COMPLETE)),
        (Ending.PRUNED, Verdict(State.PRUNED)),
        (Ending.DIVERGED, Verdict(State.PRUNED, "diverged")),
        (Ending.FAILED, Verdict(State.FAIL, "why")),
        (Ending.INTERRUPTED, Verdict(State.WAITING, None, {"attempt": 3})),
        (Ending.LOST, Verdict(State.WAITING, None, {"attempt": 3, "lost": 1})),
        (
            Ending.OUT_OF_MEMORY,
            Verdict(State.WAITING, None, {"attempt": 3, "out_of_memory": 1}),
        ),
    ],
)
def test_each_kind_of_ending_has_its_own_policy(
    ending: Ending, verdict: Verdict
) -> None:
    """Only what says something about the hyperparameters counts."""
    ended = make_ended(ending=ending, reason="why")

    assert judge(ended, {"attempt": 2}, max_lost=1) == verdict


@pytest.mark.parametrize(
    ("ending", "kind", "most"),
    [(Ending.LOST, "lost", 4), (Ending.OUT_OF_MEMORY, "out_of_memory", 1)],
)
def test_a_trial_is_tried_again_so_often_and_no_more(
    ending: Ending, kind: str, most: int
) -> None:
    """Its worker may die max_lost times, its device be too small once."""
    ended = make_ended(ending=ending, reason="why")

    assert judge(ended, {kind: most - 1}, max_lost=4).state is State.WAITING
    last = judge(ended, {kind: most}, max_lost=4)
    assert last == Verdict(State.FAIL, "why", {kind: most + 1})


def test_kinds_are_counted_apart(tmp_path: object) -> None:
    """A trial whose worker was lost often may still be interrupted."""
    counts = {"attempt": 9, "lost": 4, "out_of_memory": 1}

    assert judge(make_ended(ending=Ending.INTERRUPTED), counts, 4) == Verdict(
        State.WAITING, None, {"attempt": 10}
    )
