"""When a sweep will end."""

from sweep.live.eta import Eta, all_epochs_left, epochs_left, sooner


def test_before_any_trial_has_ended_all_planned_epochs_are_expected() -> None:
    """Nobody knows yet how many the pruner will stop."""
    assert epochs_left(4, 20, {}) == 16


def test_a_trial_is_expected_to_do_as_those_that_came_further() -> None:
    """Of three, one ended sooner; the others had 5 and 20 epochs."""
    ended = {2: 1, 5: 1, 20: 1}

    assert epochs_left(0, 20, ended) == 9
    assert epochs_left(3, 20, ended) == 9.5
    assert epochs_left(10, 20, ended) == 10


def test_a_sweep_has_what_runs_and_what_is_to_begin() -> None:
    """Two in training, two more to come, three epochs each."""
    assert all_epochs_left([(1, 3), (2, 3)], 2, 3, {}) == 2 + 1 + 6


def test_whatever_is_sooner_ends_it() -> None:
    """The last trial, or the timeout; both may be unknown."""
    assert sooner(None, None) is None
    assert sooner(60.0, None) == Eta(60.0)
    assert sooner(60.0, 90.0) == Eta(60.0)
    assert sooner(60.0, 30.0) == Eta(30.0, by_timeout=True)
    assert sooner(None, 30.0) == Eta(30.0, by_timeout=True)
    assert sooner(60.0, -5.0) == Eta(0.0, by_timeout=True)
