"""A command on a terminal of its own, and what it drew there."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

_OTHER_SCREEN, _FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_HOME = "\x1b[H"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command that believes to stand on a terminal.

    Attributes:
        process: The command.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, size: tuple[int, int], **env: str
    ) -> None:
        """Start it.

        Args:
            command: What to run.
            folder: Where.
            size: Columns and lines.
            env: More of its environment.
        """
        self._ours, theirs = pty.openpty()
        self.resize(*size)
        self._read: list[bytes] = []
        self.process = subprocess.Popen(
            # on a session of its own, Ctrl-C is a signal to it, as in a shell
            ["setsid", "--ctty", *command],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._reader = Thread(target=self._keep_reading, daemon=True)
        self._reader.start()

    def resize(self, columns: int, lines: int) -> None:
        """Change the terminal's size."""
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._ours, keys.encode())

    def wait(self, timeout_s: float) -> int:
        """Wait for the command's end; its exit code."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    @property
    def output(self) -> str:
        """All that it wrote."""
        return b"".join(self._read).decode(errors="replace")

    @property
    def frames(self) -> list[list[str]]:
        """The lines of each whole drawing of the view."""
        _, _, drawn = self.output.partition(_OTHER_SCREEN)
        drawn, _, _ = drawn.partition(_FIRST_SCREEN)
        whole = [frame for frame in drawn.split(_HOME)[:-1] if "\n" in frame]
        return [_CONTROL.sub("", frame).split("\r\n") for frame in whole]

    @property
    def rest(self) -> str:
        """What is written on the first screen after the view has gone."""
        _, _, rest = self.output.rpartition(_FIRST_SCREEN)
        return _CONTROL.sub("", rest)

    @property
    def is_clean(self) -> bool:
        """Whether the first screen is back, with its cursor."""
        text = self.output
        is_first = text.rfind(_FIRST_SCREEN) > text.rfind(_OTHER_SCREEN)
        return is_first and text.rfind(_SHOW_CURSOR) > text.rfind(_HIDE_CURSOR)

    def _keep_reading(self) -> None:
        while True:
            try:
                read = os.read(self._ours, 65536)
            except OSError:  # the command has closed its side
                read = b""
            if not read:
                return
            self._read.append(read)
