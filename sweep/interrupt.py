"""Ctrl-C and SIGTERM: the first one asks the sweep to end well, the second insists."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Have the signals mean afterwards what they meant before."""
    if current_thread() is not main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class Interrupt:
    """Whether the sweep was asked to end, and by which signal.

    Attributes:
        say: Prints a line for people.
        is_over: Whether the trials ended by themselves; a signal then comes too late.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Begin without one.

        Args:
            say: Prints a line for people.
        """
        self.say = say
        self.is_over = False
        self._signal: int | None = None

    @property
    def number(self) -> int | None:
        """The signal's number; None if there was none."""
        return self._signal

    @property
    def exit_code(self) -> int | None:
        """128 and the signal's number, as shells count; None if none was in time."""
        return None if self._signal is None or self.is_over else 128 + self._signal

    def listen(self) -> None:
        """Take the signals over; to be called after ray.init, which takes SIGTERM.

        In another thread than the main one nothing is done: signals are not for it.
        """
        if current_thread() is not main_thread():
            return
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def __call__(self) -> bool:
        """Whether the sweep was asked to end, in time."""
        return self.exit_code is not None

    def trials_ended(self) -> None:
        """Take note of it: who has not asked before asks too late."""
        self.is_over = self._signal is None

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = number
        what = (
            "all trials have ended, and what they found is being written"
            if self.is_over
            else "running trials end with their epoch; the same command goes on from "
            "here"
        )
        self.say(f"stopping: {what} (once more to stop at once)")
