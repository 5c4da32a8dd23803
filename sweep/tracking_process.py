"""A tracker in a process of its own, so that MLflow's work does not slow the loop.

MLflow spends tens of milliseconds of Python on a trial; in a thread it would take them
from the loop, since one interpreter runs one of them at a time. Importing it takes
seconds, which pass there while the driver starts Ray.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Self

from sweep.errors import SweepError, SweepFailed
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.trial import PastTrial

_LONGEST_DRAWING_S = 30.0


class TrackerProcess:
    """Forwards each call to a Tracker, and waits for its answer.

    The process ends with its driver, however that ends, after what it is writing.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Start the process; `open` comes next."""
        self._experiment = experiment
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sweep.tracking_server", str(number)],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                # where it finds what the driver finds, wherever that was started
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self._pipe = Connection(ours.detach())
        self._say_of_plots: Callable[[str], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def check(self) -> None:
        """Look at the store without changing it; see runs.read_runs."""
        self._call("check", self._experiment, "", None)

    def open(self, opening: Opening) -> bool:
        """Open the study's runs; see Tracker.

        Returns:
            Whether MLflow had nothing of a study that has trials.
        """
        return bool(self._call("open", self._experiment, opening))

    def rebuild(self, past: Sequence[PastTrial]) -> None:
        """Make the runs of finished trials anew; see Tracker.rebuild."""
        self._call("rebuild", past)

    def send(self) -> None:
        """Write what is new in the sweep's log; see Tracker.send."""
        self._call("send")

    def close(self, status: str, utilisation: float | None) -> None:
        """End the study's run; see Tracker.close."""
        self._call("close", status, utilisation)

    def draw(self, say: Callable[[str], None]) -> None:
        """Have the study's plots drawn while others clean up; `stop` waits for them.

        Args:
            say: Prints a line for people, should there be no plots.
        """
        with suppress(OSError):
            self._pipe.send(("draw", ()))
            self._say_of_plots = say

    def stop(self) -> None:
        """End the process, when its plots are drawn."""
        if self._say_of_plots is not None:
            self._end_drawing(self._say_of_plots)
        self._pipe.close()
        self._process.wait()

    def _end_drawing(self, say: Callable[[str], None]) -> None:
        try:
            if self._pipe.poll(_LONGEST_DRAWING_S):
                answer = self._pipe.recv()
            else:
                self._process.kill()  # all else is written
                answer = SweepFailed(f"not done in {_LONGEST_DRAWING_S:.0f} s")
        except (EOFError, OSError):
            answer = SweepFailed("the process that draws them has died")
        if isinstance(answer, SweepError):
            reason = str(answer).strip().splitlines()[-1]  # of a traceback
            say(f"MLflow has no plots of this study: {reason}")

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            self._pipe.send((method, arguments))
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise SweepFailed("the process that writes to MLflow has died") from None
        if isinstance(answer, SweepError):
            raise answer
        return answer
