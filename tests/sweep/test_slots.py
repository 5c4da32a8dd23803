"""A worker's place: what it takes, and when its worker is replaced or given up."""

from support import make_ended, make_node, make_report, make_spec
from sweep.slots import Slot
from sweep.trial import Ending


def fail(slot: Slot, times: int, ending: Ending = Ending.FAILED) -> None:
    """Have so many trials end there, one after another."""
    for number in range(times):
        slot.submit(make_spec(number))
        slot.ended(make_ended(number, ending))


def test_three_failures_in_a_row_ask_for_a_new_worker() -> None:
    """Until it is there, the place takes no further trial."""
    slot = Slot("actor", make_node(), lanes=2)
    fail(slot, 2)
    assert (slot.room, slot.is_to_be_replaced) == (2, False)
    fail(slot, 1)

    assert (slot.room, slot.is_to_be_replaced) == (0, True)


def test_a_success_in_between_starts_the_count_anew() -> None:
    """An ending that says something about the hyperparameters is a success."""
    slot = Slot("actor", make_node(), lanes=1)
    for ending in (Ending.COMPLETE, Ending.PRUNED, Ending.DIVERGED):
        fail(slot, 2)
        fail(slot, 1, ending)

    assert not slot.is_to_be_replaced


def test_companions_end_before_the_worker_is_replaced() -> None:
    """They would be lost for nothing."""
    slot = Slot("actor", make_node(), lanes=4)
    slot.submit(make_spec(9))
    fail(slot, 3)
    assert (slot.room, slot.is_to_be_replaced) == (0, False)

    slot.ended(make_ended(9, Ending.INTERRUPTED))
    assert slot.is_to_be_replaced


def test_a_place_whose_new_worker_fails_as_often_is_hopeless() -> None:
    """But not one whose new worker does well once."""
    slot = Slot("actor", make_node(), lanes=1)
    fail(slot, 3)
    slot.is_replaced = True
    assert slot.room == 1
    fail(slot, 3)
    assert slot.is_hopeless

    slot = Slot("actor", make_node(), lanes=1)
    fail(slot, 3)
    slot.is_replaced = True
    fail(slot, 1, Ending.COMPLETE)
    fail(slot, 3)
    assert not slot.is_hopeless
    assert slot.is_to_be_replaced


def test_a_lost_worker_is_one_failure_however_many_trials_it_had() -> None:
    """They are handed back, and orders for the dead are forgotten."""
    slot = Slot("actor", make_node(), lanes=4)
    specs = [make_spec(number) for number in range(4)]
    for spec in specs:
        slot.submit(spec)
    slot.end(2, Ending.PRUNED)

    assert slot.lose("it was killed") == specs
    assert (slot.room, slot.failures, slot.orphans) == (0, 1, 4)
    assert slot.reason == "it was killed"
    assert slot.take_orders() == ([], {})


def test_a_device_refuses_a_trial_that_it_had_no_memory_for() -> None:
    """That trial alone, and it is no failure of the worker."""
    slot = Slot("actor", make_node(), lanes=1)
    fail(slot, 1, Ending.OUT_OF_MEMORY)

    assert slot.refuses(make_spec(0))
    assert not slot.refuses(make_spec(1))
    assert slot.failures == 0


def test_a_trial_takes_the_first_lane_that_is_free() -> None:
    """Its reports say so, with the worker's machine and number."""
    slot = Slot("actor", make_node("here"), number=3, lanes=3)
    for number in (5, 6, 7):
        slot.submit(make_spec(number))
    slot.ended(make_ended(6))
    slot.submit(make_spec(8))
    located = [slot.locate(make_report(number)) for number in (5, 8, 7)]

    assert [report.lane for report in located] == [0, 1, 2]
    assert {report.worker for report in located} == {"here/3"}
