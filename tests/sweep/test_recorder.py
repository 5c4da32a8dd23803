"""The thread between loop and store: order, gathering, patience."""

import time
from collections.abc import Sequence

import pytest

from support import make_ended, make_record, make_report, make_spec
from sweep.errors import StoreUnavailable, SweepFailed
from sweep.recorder import Recorder
from sweep.trial import Event


class Store:
    """Takes what is written to it, but for the first `refusals` times."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.batches: list[list[Event]] = []
        self.warnings: list[str] = []

    def write(self, events: Sequence[Event]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("the store is away")
        self.batches.append(list(events))


def test_events_are_written_in_their_order_and_in_few_batches() -> None:
    """All that gathers within a moment is one batch."""
    store = Store()
    recorder = Recorder(store.write, store.warnings.append)
    recorder.started(make_spec())
    for epoch in range(1, 9):
        recorder.reported(make_report(epoch=epoch))
    recorder.ended(make_ended(), make_record())
    recorder.close()

    events = [event for batch in store.batches for event in batch]
    said = [event.said for event in events]
    reports = [make_report(epoch=epoch) for epoch in range(1, 9)]
    assert said == [make_spec(), *reports, make_ended()]
    assert events[-1].record == make_record()
    assert len(store.batches) <= 2


def test_taking_events_down_does_not_wait_for_the_store() -> None:
    """The loop goes on while the store takes its time."""
    recorder = Recorder(lambda _events: time.sleep(0.5), print)
    recorder.started(make_spec())
    time.sleep(0.3)  # the thread is writing now
    began = time.monotonic()
    recorder.started(make_spec(1))

    assert time.monotonic() - began < 0.1
    recorder.close()


def test_a_store_that_comes_back_gets_everything_once() -> None:
    """The user is warned once, and nothing is lost, doubled or out of order."""
    store = Store(refusals=2)
    recorder = Recorder(store.write, store.warnings.append)
    recorder.started(make_spec(0))
    time.sleep(0.4)
    recorder.started(make_spec(1))
    recorder.close()

    written = [event.number for batch in store.batches for event in batch]
    assert written == [0, 1]
    assert store.warnings == ["the store is away; trying again until it answers"]


def test_a_store_that_stays_away_is_told_at_the_end() -> None:
    """Closing does not hang, and does not pretend."""
    store = Store(refusals=10_000)
    recorder = Recorder(store.write, store.warnings.append, patience_s=0.0)
    recorder.started(make_spec())

    with pytest.raises(SweepFailed, match="1 events were not written"):
        recorder.close()


def test_a_mistake_in_writing_reaches_the_loop() -> None:
    """What is no outage is raised in the loop's thread instead of being lost."""

    def write(events: Sequence[Event]) -> None:
        raise TypeError(f"{len(events)} events, and a bug")

    recorder = Recorder(write, print)
    recorder.started(make_spec())
    with pytest.raises(TypeError, match="a bug"):
        recorder.close()
