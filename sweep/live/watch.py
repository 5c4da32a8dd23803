"""`status --watch`: the view of a sweep that another process runs, or nobody."""

import time
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console

from sweep.errors import StoreUnavailable
from sweep.experiment import Experiment
from sweep.live.display import Display
from sweep.live.picture import Standing
from sweep.live.pulse import Pulse
from sweep.live.stored import Glance, StoredLog, StoredStudy
from sweep.trial import EpochReport, Event

_PAUSE_S = 1.0
_SHARE = 0.05  # of the time that may go into reading a large study again


class Watch:
    """Follows a study by looking at it; changes nothing.

    Attributes:
        is_over: Whether the study has all its trials, and nobody runs it any more.
    """

    def __init__(
        self,
        experiment: Experiment,
        display: Display,
        command: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin before the first look.

        Args:
            experiment: What is run.
            display: Where it is shown.
            command: What people type to run it.
            clock: Seconds since 1970.
        """
        self._experiment, self._display = experiment, display
        self._command, self._clock = command, clock
        self._study, self._pulse = StoredStudy(experiment), Pulse()
        self._log: StoredLog | None = None
        self._key: str | None = None
        self._token: str | None = None  # of the driver that is followed
        self._next_read_s = 0.0
        self._is_away = self.is_over = False

    def look(self) -> None:
        """Show what has changed since the last look.

        Raises:
            StoreError: The study's storage cannot be opened.
            SweepFailed: A line of the log is no event.
        """
        try:
            glance = self._study.glance()
            if glance is None:
                nothing = Standing("No trials yet. To begin:", self._command)
                self._display.stand(nothing)
            else:
                self._follow(glance)
        except StoreUnavailable as error:
            if not self._is_away:
                self._display.say(f"{error}; what is shown is old until it answers")
            self._is_away = True
        else:
            self._is_away = False

    def _follow(self, glance: Glance) -> None:
        holder = glance.holder
        lives = self._pulse.lives(holder, self._clock())
        began_ms = None
        if holder is not None and lives and holder.driver.token != self._token:
            self._token = holder.driver.token
            began_ms = int(holder.driver.began * 1000)
        if glance.key == self._key:
            self._go_on(began_ms)
        else:
            self._begin(glance.key, began_ms)
        self.is_over = self._display.is_complete and not lives
        self._display.stand(None if lives else self._standing(glance))

    def _begin(self, key: str, began_ms: int | None) -> None:
        """Show a study from its beginning: by its log, and by the database before."""
        self._key, self._log = key, StoredLog(self._experiment, key)
        logged = list(self._log.news())
        known = set(map(_what, logged))
        stored = (event for event in self._read() if _what(event) not in known)
        events = sorted([*logged, *stored], key=lambda event: event.time_ms)
        self._display.restart(events, began_ms)

    def _go_on(self, began_ms: int | None) -> None:
        assert self._log is not None, "a study that was seen has a place for its log"
        if began_ms is not None:
            self._display.expect(began_ms)
        for event in self._log.news():
            self._display.take(event)
        if not self._log.is_there and self._clock() >= self._next_read_s:
            for event in self._read():
                self._display.take(event)

    def _read(self) -> list[Event]:
        now_s = self._clock()
        events = self._study.events(int(now_s * 1000))
        took_s = self._clock() - now_s
        self._next_read_s = now_s + took_s / _SHARE
        return events

    def _standing(self, glance: Glance) -> Standing:
        if self.is_over:
            return Standing("All trials are there, and nobody runs it any more.")
        driver = glance.holder and glance.holder.driver
        last = f"any more; the last was {driver}" if driver else "now"
        return Standing(f"Nobody runs it {last}. To go on:", self._command)


def watch(experiment: Experiment, console: Console, command: str) -> bool:
    """Show a study until it is complete, or somebody presses Ctrl-C.

    Args:
        experiment: What is run.
        console: Where people look.
        command: What people type to run it.

    Returns:
        Whether it is complete.

    Raises:
        StoreError: The study's storage cannot be opened.
        SweepFailed: A line of the log is no event.
    """
    display = Display(experiment, console, is_guest=True)
    follower = Watch(experiment, display, command)
    with suppress(KeyboardInterrupt), display:
        follower.look()
        while not follower.is_over:
            time.sleep(_PAUSE_S)
            follower.look()
        return True
    return False


def _what(event: Event) -> tuple[int, object]:
    """What an event tells of which trial, wherever it is from and whenever it was."""
    said = event.said
    return said.number, said.epoch if isinstance(said, EpochReport) else type(said)
