"""Shows a sweep while it runs: a view on a terminal, elsewhere a line for each trial.

The view is drawn on the terminal's other screen, as editors do: it is right whatever
the terminal's size becomes, and leaves what stood there before as it was.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, redirect_stderr
from threading import RLock
from types import TracebackType
from typing import Self, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from sweep.experiment import Experiment
from sweep.live.board import Board
from sweep.live.lines import ended_line
from sweep.live.picture import Ended, Picture, Standing
from sweep.live.stray import Stray
from sweep.live.view import draw
from sweep.trial import (
    EpochReport,
    Event,
    Notice,
    State,
    TrialEnded,
    TrialRecord,
    TrialSpec,
)
from sweep.words import time_of_day

_FRAMES_PER_S = 2.0


class Display:
    """Listens to the loop, which never waits for what is drawn."""

    def __init__(
        self,
        experiment: Experiment,
        console: Console,
        states: Mapping[int, State] | None = None,
        ranking: Iterable[TrialRecord] = (),
        *,
        is_guest: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin with what the study says already.

        Args:
            experiment: The experiment that runs.
            console: Where people look.
            states: The state of the study's trials, by number.
            ranking: Its trials with a value, best first.
            is_guest: Whether somebody else runs it; then warnings are not told once
                more when the view has gone.
            clock: Seconds since 1970.
        """
        self._experiment, self._console, self._clock = experiment, console, clock
        self._is_guest = is_guest
        self._board = Board(experiment, self._now_ms(), states, ranking)
        self._standing: Standing | None = None
        self._lock = RLock()  # a signal may arrive while it is held
        self._live: Live | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._console.is_interactive and not self._console.quiet:
            self._live = Live(
                console=self._console,
                screen=True,
                get_renderable=self._render,
                refresh_per_second=_FRAMES_PER_S,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._open.enter_context(redirect_stderr(Stray(self.say)))
            self._open.callback(self._live.stop)
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        was_live, self._live = self._live is not None, None
        if was_live and not self._is_guest:
            for warned in reversed(self.picture().warnings):
                self.say(f"{time_of_day(warned.time_ms)}  {warned.text}")

    def say(self, message: str) -> None:
        """Tell a warning, or what happens next; on a terminal it stays visible."""
        if self._live is None:
            self._console.print(Text(message), soft_wrap=True)
            return
        with self._lock:
            self._board.warn(self._now_ms(), message)

    def noticed(self, notice: Notice) -> None:
        """Tell what a worker has to say."""
        self.say(notice.text)

    def started(self, spec: TrialSpec) -> None:
        """Show that an attempt begins."""
        self.take(Event(self._now_ms(), spec))

    def reported(self, report: EpochReport) -> None:
        """Show an epoch."""
        self.take(Event(self._now_ms(), report))

    def ended(self, ended: TrialEnded, record: TrialRecord) -> None:
        """Show how a trial ended."""
        self.take(Event(self._now_ms(), ended, record))

    def take(self, event: Event) -> None:
        """Show what happened, unless it is known already."""
        with self._lock:
            is_news = self._board.take(event)
        if is_news and event.record is not None and self._live is None:
            said = cast(TrialEnded, event.said)
            text = ended_line(Ended(said, event.record), self._experiment.space)
            self._console.print(text, overflow="ignore", crop=False)

    def restart(self, events: Iterable[Event], began_ms: int | None = None) -> None:
        """Begin anew with what has happened so far; nothing of it is printed.

        Args:
            events: In order of time.
            began_ms: When the driver of today began, in milliseconds since 1970; None
                for none.
        """
        board = Board(self._experiment, self._now_ms())
        if began_ms is not None:
            board.expect(began_ms)
        for event in events:
            board.take(event)
        with self._lock:
            self._board = board

    def expect(self, began_ms: int) -> None:
        """Count anew from the first event of a driver that began just then."""
        with self._lock:
            self._board.expect(began_ms)

    def stand(self, standing: Standing | None) -> None:
        """Tell why nothing happens, in the place of times and pace; None to end it."""
        is_news, self._standing = standing != self._standing, standing
        if standing is not None and is_news and self._live is None:
            self.say(f"{standing.text} {standing.command}".rstrip())

    @property
    def is_complete(self) -> bool:
        """Whether the study has as many trials as are wanted."""
        return self._board.is_complete

    def picture(self) -> Picture:
        """All that is known now."""
        with self._lock:
            return self._board.picture(self._now_ms())

    def _render(self) -> RenderableType:
        width, height = self._console.size
        is_ascii = self._console.options.ascii_only
        lines = draw(
            self.picture(), width, height, standing=self._standing, is_ascii=is_ascii
        )
        return Group(*lines)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
