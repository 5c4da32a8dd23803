"""Catches what libraries write to standard error while the view stands there."""

import io
import sys
from collections.abc import Callable


class Stray(io.TextIOBase):
    """A file whose lines are told as warnings, which would be painted over otherwise.

    Attributes:
        rich_proxied_file: Where a console that prints to standard error goes on to.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Stand in for standard error.

        Args:
            say: Tells a line.
        """
        self.rich_proxied_file, self._say = sys.stderr, say
        self._line = ""

    def write(self, text: str) -> int:
        """Tell every line that is whole."""
        *lines, self._line = (self._line + text).split("\n")
        for line in filter(str.strip, lines):
            self._say(line)
        return len(text)
