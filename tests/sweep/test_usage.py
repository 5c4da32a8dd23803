"""The share of the workers' work that was of use."""

from support import make_ended, make_record, make_report, make_spec
from sweep.trial import Ending
from sweep.usage import Usage


def run(usage: Usage, number: int, epochs: int, ending: Ending) -> None:
    """Let a trial train so many epochs and end."""
    usage.started(make_spec(number))
    for epoch in range(epochs):
        usage.reported(make_report(number, epoch + 1))
    usage.ended(make_ended(number, ending), make_record(number))


def test_epochs_of_trials_that_count_are_of_use() -> None:
    """Whether they completed or were pruned."""
    usage = Usage()
    run(usage, 0, 3, Ending.COMPLETE)
    run(usage, 1, 1, Ending.PRUNED)

    assert usage.share == 1.0


def test_an_attempt_that_is_given_up_and_an_epoch_without_end_are_lost() -> None:
    """Two epochs of a lost worker, and the one in which a loss became infinite."""
    usage = Usage()
    run(usage, 0, 2, Ending.LOST)
    run(usage, 0, 3, Ending.COMPLETE)
    run(usage, 1, 4, Ending.DIVERGED)

    assert usage.share == 7 / 10


def test_before_the_first_epoch_there_is_no_share() -> None:
    """Nothing was computed."""
    assert Usage().share is None
