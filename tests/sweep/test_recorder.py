"""The thread between the log and a slow store: order, gathering, patience."""

from pathlib import Path
from threading import Event as Flag

import pytest

from processes import wait_until
from support import make_ended, make_record, make_report, make_spec
from sweep.errors import StoreUnavailable
from sweep.event_log import EventLog, log_bytes, mark_sent, read_events, sent
from sweep.recorder import Recorder
from sweep.trial import Event


class Store:
    """Takes what is new in a log, but for the first `refusals` times."""

    def __init__(self, folder: Path, refusals: int = 0) -> None:
        self.folder, self.refusals = folder, refusals
        self.batches: list[list[Event]] = []
        self.warnings: list[str] = []

    def send(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("the store is away")
        news = list(read_events(self.folder, sent(self.folder)))
        if news:
            self.batches.append([event for event, _ in news])
            mark_sent(self.folder, news[-1][1])

    def recorder(self, patience_s: float = 10.0) -> Recorder:
        """A recorder whose log this store reads."""
        log = EventLog(self.folder)
        return Recorder(log, self.send, self.warnings.append, patience_s)


def test_events_are_sent_in_their_order_and_in_few_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that gathers within a moment is one batch."""
    monkeypatch.setattr("sweep.recorder._GATHER_S", 3600.0)  # a long moment
    store = Store(tmp_path)
    recorder = store.recorder()
    recorder.started(make_spec())
    for epoch in range(1, 9):
        recorder.reported(make_report(epoch=epoch))
    recorder.ended(make_ended(), make_record())
    assert recorder.close()

    [events] = store.batches
    said = [event.said for event in events]
    reports = [make_report(epoch=epoch) for epoch in range(1, 9)]
    assert said == [make_spec(), *reports, make_ended()]
    assert events[-1].record == make_record()


def test_taking_events_down_does_not_wait_for_the_store(tmp_path: Path) -> None:
    """The loop goes on while the store takes its time."""
    is_sending, may_end = Flag(), Flag()

    def send() -> None:
        is_sending.set()
        assert may_end.wait(60), "nothing was taken down meanwhile"

    recorder = Recorder(EventLog(tmp_path), send, print)
    assert is_sending.wait(60)
    recorder.started(make_spec(1))
    assert [event.number for event, _ in read_events(tmp_path)] == [1]

    may_end.set()
    assert recorder.close()


def test_a_store_that_comes_back_gets_everything_once(tmp_path: Path) -> None:
    """The user is warned once, and nothing is lost, doubled or out of order."""
    store = Store(tmp_path, refusals=2)
    recorder = store.recorder()
    recorder.started(make_spec(0))
    wait_until(lambda: store.refusals < 2, 60, "it was refused")
    recorder.started(make_spec(1))
    assert recorder.close()

    written = [event.number for batch in store.batches for event in batch]
    assert written == [0, 1]
    assert store.warnings == [
        "the store is away; what happens waits on disk until it answers"
    ]


def test_a_store_that_stays_away_gets_it_from_the_next_recorder(tmp_path: Path) -> None:
    """Closing does not hang and does not pretend; the log keeps what is left."""
    store = Store(tmp_path, refusals=10_000)
    recorder = store.recorder(patience_s=0.0)
    recorder.started(make_spec())
    assert not recorder.close()

    store.refusals = 0
    assert store.recorder().close()
    assert [[event.number for event in batch] for batch in store.batches] == [[0]]


def test_a_mistake_in_sending_reaches_the_loop(tmp_path: Path) -> None:
    """What is no outage is raised in the loop's thread instead of being lost."""

    def send() -> None:
        raise TypeError("a bug")

    recorder = Recorder(EventLog(tmp_path), send, print)
    with pytest.raises(TypeError, match="a bug"):
        recorder.close()


def test_a_long_log_begins_anew_once_all_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not grow for ever, and nothing is sent twice or never."""
    monkeypatch.setattr("sweep.event_log._STALE_BYTES", 500)
    monkeypatch.setattr("sweep.recorder._GATHER_S", 0.01)
    store = Store(tmp_path)
    recorder = store.recorder()
    for number in range(10):
        recorder.started(make_spec(number))
        wait_until(lambda: sent(tmp_path) == log_bytes(tmp_path), 60, "all is sent")
    assert recorder.close()

    written = [event.number for batch in store.batches for event in batch]
    assert written == list(range(10))
    assert (tmp_path / "events.jsonl").stat().st_size < 1500


def test_a_log_that_grows_too_large_leaves_loss_curves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs and endings are kept, and people are told once."""
    monkeypatch.setattr("sweep.event_log._THIN_BYTES", 100)
    store = Store(tmp_path, refusals=10_000)
    recorder = store.recorder(patience_s=0.0)
    recorder.started(make_spec())
    for epoch in (1, 2):
        recorder.reported(make_report(epoch=epoch))
    recorder.close()

    said = [event.said for event, _ in read_events(tmp_path)]
    assert [getattr(message, "losses", None) for message in said] == [None, (), ()]
    assert sum("loss curves are left out" in text for text in store.warnings) == 1
