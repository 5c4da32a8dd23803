"""Whether a study's driver lives, seen from this machine or from another."""

from sweep.lease import DEAD_AFTER_S, Driver, Holder
from sweep.live.pulse import Pulse

DRIVER = Driver("node", 1, 0.0, "2026-01-01 00:00:00 UTC", "token")


def test_a_driver_of_this_machine_lives_as_long_as_its_process() -> None:
    """However long its beat stands still."""
    pulse = Pulse()

    assert pulse.lives(Holder(DRIVER, "1", is_here=True, is_dead=False), 0.0)
    assert pulse.lives(Holder(DRIVER, "1", is_here=True, is_dead=False), 1e6)
    assert not pulse.lives(Holder(DRIVER, "1", is_here=True, is_dead=True), 1e6)


def test_a_driver_elsewhere_lives_while_its_beat_changes() -> None:
    """It is given up when its beat has stood still for as long as a lease lasts."""
    pulse = Pulse()
    first, second = (Holder(DRIVER, b, is_here=False, is_dead=False) for b in "12")

    assert pulse.lives(first, 0.0)
    assert pulse.lives(first, DEAD_AFTER_S - 1)
    assert pulse.lives(second, DEAD_AFTER_S + 1)
    assert not pulse.lives(second, 2 * DEAD_AFTER_S + 1)


def test_a_study_that_is_nobody_s_has_no_driver() -> None:
    """It was left in good order, or nobody ever had it."""
    assert not Pulse().lives(None, 0.0)
