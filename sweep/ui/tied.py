"""A command that ends with who started it, however that ends.

python -m sweep.ui.tied WORD...

Standard input is a pipe that nobody else holds: it is at its end when that one is. The
command and all of its children are this process's group, and end with it.
"""

import os
import signal
import subprocess
import sys
import time
from threading import Thread

_ENDS_S = 10.0  # then it is killed


def main(words: list[str]) -> None:
    """Run a command until it ends, or standard input does."""
    # it is for the rest of the group; what is started here does not inherit a handler
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    Thread(target=_end_with_input, daemon=True).start()
    process.wait()
    os.killpg(0, signal.SIGKILL)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGTERM)
    time.sleep(_ENDS_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
