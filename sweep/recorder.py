"""Takes events down on disk, and has a thread see to it that MLflow gets them.

The loop waits for the disk, which takes microseconds, and never for MLflow.
"""

import time
from collections.abc import Callable
from threading import Event as Flag
from threading import Lock, Thread
from typing import Protocol

from sweep.errors import StoreUnavailable
from sweep.trial import EpochReport, Event, Notice, TrialEnded, TrialRecord, TrialSpec

_GATHER_S = 0.2  # how long events gather before they are sent in one go
_LONGEST_WAIT_S = 5.0  # between two tries of a store that does not answer


class Log(Protocol):
    """Keeps events on disk; see event_log.EventLog."""

    @property
    def is_thin(self) -> bool:
        """Whether loss curves are left out."""

    @property
    def is_stale(self) -> bool:
        """Whether the log is large, and MLflow has all of it."""

    def append(self, event: Event) -> None:
        """Put an event on disk."""

    def restart(self) -> None:
        """Forget everything."""


class Recorder:
    """Listens to the loop."""

    def __init__(
        self,
        log: Log,
        send: Callable[[], None],
        warn: Callable[[str], None],
        patience_s: float = 10.0,
    ) -> None:
        """Start the thread.

        Args:
            log: Where events are taken down.
            send: Sends to MLflow what is new in the log; raises StoreUnavailable to be
                called again.
            warn: Prints a line for people, once for each time that MLflow is away.
            patience_s: How long `close` goes on trying, in seconds.
        """
        self._log, self._send, self._warn = log, send, warn
        self._patience_s = patience_s
        self._sending, self._closing = Lock(), Flag()
        self._is_away = self._was_thin = False
        self._error: BaseException | None = None
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

    def close(self) -> bool:
        """Send what is left, and end the thread.

        Returns:
            Whether MLflow has everything.
        """
        self._closing.set()
        self._thread.join()
        self._raise_error()
        return not self._is_away

    def _put(self, event: Event) -> None:
        self._raise_error()
        # all that is in the log is in the study's database, too, before the next event
        if self._log.is_stale and self._sending.acquire(blocking=False):
            self._log.restart()
            self._sending.release()
        self._log.append(event)
        if self._log.is_thin and not self._was_thin:
            self._was_thin = True
            self._warn(
                "so much waits for MLflow that loss curves are left out from now on"
            )

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._closing.wait(_GATHER_S):
                self._send_until_taken()
            self._send_until_taken()
        except BaseException as error:  # noqa: BLE001 - kept for the loop
            self._error = error

    def _send_until_taken(self) -> None:
        wait, deadline = 0.5, float("inf")
        while not self._is_sent():
            if self._closing.is_set():
                deadline = min(deadline, time.monotonic() + self._patience_s)
            if time.monotonic() + wait > deadline:
                return
            # a pause ends when the sweep does
            pause = time.sleep if self._closing.is_set() else self._closing.wait
            pause(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    def _is_sent(self) -> bool:
        try:
            with self._sending:
                self._send()
        except StoreUnavailable as error:
            if not self._is_away:
                self._warn(f"{error}; what happens waits on disk until it answers")
            self._is_away = True
            return False
        self._is_away = False
        return True


def _now_ms() -> int:
    return int(time.time() * 1000)
