"""The log of what happened: what is read is what was written, whatever was cut off."""

import errno
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from support import make_ended, make_record, make_report, make_spec
from sweep.errors import SweepFailed
from sweep.event_log import EventLog, mark_sent, read_events, sent
from sweep.paths import checkpoint_file
from sweep.trial import Ending, Event, State

EVENTS = [
    Event(1, make_spec(flag=True, whole=1, real=1.0, text="1", tiny=1e-300)),
    Event(2, make_report(accuracy=1 / 3)),
    Event(3, make_ended(reason="a\nb", same_as=4), make_record()),
    Event(4, make_ended(1, Ending.LOST, None), make_record(1, State.WAITING, None)),
]


def read(folder: Path) -> list[Event]:
    return [event for event, _ in read_events(folder)]


def test_events_are_read_as_they_were_appended(tmp_path: Path) -> None:
    """Every number, flag and text has its type and its last digit."""
    log = EventLog(tmp_path)
    for event in EVENTS:
        log.append(event)

    assert read(tmp_path) == EVENTS
    assert [repr(event) for event in read(tmp_path)] == [repr(e) for e in EVENTS]


def test_numbers_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    """JSON has no word for them, Python's has."""
    report = replace(make_report(), train_loss=math.inf, losses=((1, math.nan),))
    EventLog(tmp_path).append(Event(1, report))

    [event] = read(tmp_path)
    assert repr(event.said) == repr(report)


def test_a_checkpoint_is_a_file_beside_the_log(tmp_path: Path) -> None:
    """The event is the same without its bytes."""
    ended = make_ended(7, attempt=2, checkpoint=b"weights")
    EventLog(tmp_path).append(Event(1, ended, make_record(7)))

    assert checkpoint_file(tmp_path, 7, 2).read_bytes() == b"weights"
    assert read(tmp_path) == [Event(1, replace(ended, checkpoint=None), make_record(7))]


@pytest.mark.parametrize("cut", [1, 20, 150])
def test_a_line_that_a_crash_cut_off_is_forgotten(tmp_path: Path, cut: int) -> None:
    """What stood before it is whole, and the log goes on behind that."""
    log = EventLog(tmp_path)
    for event in EVENTS[:2]:
        log.append(event)
    log.close()
    path = tmp_path / "events.jsonl"
    os.truncate(path, path.stat().st_size - cut)
    assert read(tmp_path) == EVENTS[:1]

    EventLog(tmp_path).append(EVENTS[2])
    assert read(tmp_path) == [EVENTS[0], EVENTS[2]]


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    """The place behind an event is where the next one begins, also across a restart."""
    log = EventLog(tmp_path)
    for event in EVENTS[:2]:
        log.append(event)
    [*_, (_, place)] = read_events(tmp_path)
    mark_sent(tmp_path, place)
    log.append(EVENTS[2])

    assert [e for e, _ in read_events(tmp_path, sent(tmp_path))] == [EVENTS[2]]


def test_a_log_that_is_not_there_has_no_events(tmp_path: Path) -> None:
    """Nothing is made by reading."""
    assert read(tmp_path / "nowhere") == []
    assert sent(tmp_path / "nowhere") == 0
    assert not (tmp_path / "nowhere").exists()


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    """With the file and the place, and what to do."""
    EventLog(tmp_path).append(EVENTS[0])
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"time_ms": 1}\n')

    with pytest.raises(SweepFailed, match=r"events.jsonl: .*move the file away"):
        read(tmp_path)


def test_a_full_disk_is_one_clear_message_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a line may be on disk by then; it is taken back."""
    log = EventLog(tmp_path)
    log.append(EVENTS[0])

    write, room = os.write, iter([30, 0])

    def write_to_a_full_disk(file: int, line: bytes) -> int:
        left = next(room)
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, line[:left])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_to_a_full_disk)
        with pytest.raises(SweepFailed, match=r"cannot be written: No space left"):
            log.append(EVENTS[1])
    log.append(EVENTS[2])

    assert read(tmp_path) == [EVENTS[0], EVENTS[2]]
