"""A thread between the loop and a slow store, so that the loop never waits for it."""

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Thread

from sweep.errors import StoreUnavailable, SweepFailed
from sweep.trial import EpochReport, Event, Notice, TrialEnded, TrialRecord, TrialSpec

_GATHER_S = 0.2  # how long events gather before they are written in one go
_LONGEST_WAIT_S = 10.0  # between two tries of a store that does not answer


class Recorder:
    """Takes events at once, and writes them in their order when it can."""

    def __init__(
        self,
        write: Callable[[Sequence[Event]], None],
        warn: Callable[[str], None],
        patience_s: float = 30.0,
    ) -> None:
        """Start the thread.

        Args:
            write: Writes a batch of events; raises StoreUnavailable to be called again
                with the same batch.
            warn: Told once whenever the store stops answering.
            patience_s: How long `close` goes on trying, in seconds.
        """
        self._write = write
        self._warn = warn
        self._patience_s = patience_s
        self._queue: SimpleQueue[Event] = SimpleQueue()
        self._closing = Flag()
        self._error: BaseException | None = None
        self._unwritten = 0
        self._thread = Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def started(self, spec: TrialSpec) -> None:
        """Take down that an attempt begins."""
        self._put(Event(_now_ms(), spec))

    def reported(self, report: EpochReport) -> None:
        """Take down an epoch."""
        self._put(Event(_now_ms(), report))

    def ended(self, ended: TrialEnded, record: TrialRecord) -> None:
        """Take down how an attempt ended, and what the study made of it."""
        self._put(Event(_now_ms(), ended, record))

    def noticed(self, notice: Notice) -> None:
        """Leave out what is about a worker, not a trial."""

    def close(self) -> None:
        """Write what is left, and end the thread.

        Raises:
            SweepFailed: if the store did not take all of it in time.
        """
        self._closing.set()
        self._thread.join()
        self._raise_error()
        if self._unwritten:
            raise SweepFailed(
                f"{self._unwritten} events were not written: the store did not answer "
                f"for {self._patience_s:g} s"
            )

    def _put(self, event: Event) -> None:
        self._raise_error()
        self._queue.put(event)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._closing.wait(_GATHER_S):
                self._write_until_taken(self._drain())
            self._write_until_taken(self._drain())
        except BaseException as error:  # noqa: BLE001 - kept for the loop
            self._error = error

    def _drain(self) -> list[Event]:
        events = []
        try:
            while True:
                events.append(self._queue.get_nowait())
        except Empty:
            return events

    def _write_until_taken(self, events: list[Event]) -> None:
        self._unwritten = len(events)
        wait, deadline = 0.5, None
        while events:
            try:
                self._write(events)
                break
            except StoreUnavailable as error:
                if wait == 0.5:
                    self._warn(f"{error}; trying again until it answers")
            if self._closing.is_set():
                deadline = deadline or time.monotonic() + self._patience_s
                if time.monotonic() > deadline:
                    self._unwritten = len(events) + self._queue.qsize()
                    return
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)
        self._unwritten = 0


def _now_ms() -> int:
    return int(time.time() * 1000)
