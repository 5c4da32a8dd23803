"""What happened to the study's trials, on disk before anything else is made of it.

One line of JSON for each event, and beside it how far MLflow has them. So a store that
is away for a while, or a driver that dies, loses nothing: what was not written yet is
written when the store, or the next driver, is there.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sweep.errors import SweepFailed
from sweep.files import write_whole
from sweep.paths import checkpoint_file
from sweep.trial import EpochReport, Event, TrialEnded

_EVENT = TypeAdapter(Event)
_STALE_BYTES = 16 * 2**20  # a log of that size is begun anew once MLflow has all
_THIN_BYTES = 256 * 2**20  # from that size on, loss curves are left out


class EventLog:
    """Appends events; the only writer of its folder."""

    def __init__(self, folder: Path) -> None:
        """Open the log of a sweep, or begin it.

        A last line that a crash has cut off is taken away: nothing was made of it.

        Args:
            folder: The sweep's folder; made if it is not there.

        Raises:
            SweepFailed: The folder cannot be written.
        """
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = os.open(_events_file(folder), flags, 0o644)
            self._size = _cut_torn_line(_events_file(folder))
        except OSError as error:
            raise _failed(folder, error) from error

    @property
    def is_thin(self) -> bool:
        """Whether the log has grown so large that loss curves are left out."""
        return self._size > _THIN_BYTES

    def append(self, event: Event) -> None:
        """Put an event on disk, and a checkpoint that comes with it.

        Raises:
            SweepFailed: The disk does not take it; what is there already is whole.
        """
        said = event.said
        try:
            if isinstance(said, TrialEnded) and said.checkpoint is not None:
                path = checkpoint_file(self._folder, said.number, said.attempt)
                write_whole(path, said.checkpoint, durable=False)
                event = replace(event, said=replace(said, checkpoint=None))
            elif isinstance(said, EpochReport) and self.is_thin:
                event = replace(event, said=replace(said, losses=()))
            # json, which unlike pydantic can write what is not finite
            line = json.dumps(_EVENT.dump_python(event), separators=(",", ":"))
            self._write(line.encode() + b"\n")
        except OSError as error:
            raise _failed(self._folder, error) from error

    def _write(self, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            # or the next line would be appended to half of this one
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)

    @property
    def is_stale(self) -> bool:
        """Whether the log is large, and MLflow has all of it."""
        return self._size > _STALE_BYTES and sent(self._folder) >= self._size

    def restart(self) -> None:
        """Forget everything; a crash in between has it sent once more, no less."""
        mark_sent(self._folder, 0)
        os.ftruncate(self._file, 0)
        self._size = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_events(folder: Path, start: int = 0) -> Iterator[tuple[Event, int]]:
    """The events of a log from a place on, each with the place behind it.

    A line that is not whole yet ends them.

    Args:
        folder: The sweep's folder.
        start: A place in the log, in bytes.

    Raises:
        SweepFailed: A line is no event.
    """
    try:
        file = _events_file(folder).open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            try:
                yield _EVENT.validate_json(line), start
            except ValidationError as error:
                raise SweepFailed(
                    f"{file.name}: the line that ends at byte {start} is no event of a "
                    "sweep; what to do: move the file away. Trials that had ended stay"
                ) from error


def sent(folder: Path) -> int:
    """The place in the log up to which MLflow has all events, in bytes."""
    try:
        return int(_sent_file(folder).read_bytes())
    except FileNotFoundError:
        return 0


def mark_sent(folder: Path, place: int) -> None:
    """Note the place in the log up to which MLflow has all events."""
    write_whole(_sent_file(folder), str(place).encode(), durable=False)


def log_bytes(folder: Path) -> int | None:
    """The size of a log; None if there is none."""
    try:
        return _events_file(folder).stat().st_size
    except FileNotFoundError:
        return None


def _events_file(folder: Path) -> Path:
    return folder / "events.jsonl"


def _sent_file(folder: Path) -> Path:
    return folder / "sent"


def _cut_torn_line(path: Path) -> int:
    """Cut the file after its last whole line; return its size."""
    with path.open("rb+") as file:
        content = file.read()
        size = content.rfind(b"\n") + 1
        file.truncate(size)
    return size


def _failed(folder: Path, error: OSError) -> SweepFailed:
    return SweepFailed(
        f"{folder}: cannot be written: {error.strerror or error}; what had finished is "
        "kept, and the same command goes on once there is room"
    )
