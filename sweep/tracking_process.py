"""A tracker in a process of its own, so that MLflow's work does not slow the loop.

MLflow spends tens of milliseconds of Python on a trial; in a thread it would take them
from the loop, since one interpreter runs one of them at a time. Importing it takes
seconds, which pass there while the driver starts Ray.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Self

from sweep.errors import SweepError, SweepFailed
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.trial import PastTrial


class TrackerProcess:
    """Forwards each call to a Tracker, and waits for its answer.

    The process ends with its driver, however that ends, after what it is writing.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Start the process; `open` comes next."""
        self._experiment = experiment
        ours, theirs = socket.socketpair()
        with theirs, _signals_kept_back():
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sweep.tracking_server", str(number)],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                # where it finds what the driver finds, wherever that was started
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self._pipe = Connection(ours.detach())

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

    def stop(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.wait()

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            self._pipe.send((method, arguments))
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise SweepFailed("the process that writes to MLflow has died") from None
        if isinstance(answer, SweepError):
            raise answer
        return answer


@contextmanager
def _signals_kept_back() -> Iterator[None]:
    """Keep SIGINT and SIGTERM from what is started here, from its very beginning.

    The driver decides when to stop; but Ctrl-C reaches every process of a terminal,
    and the end of a job each of its processes.
    """
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM)
    )  # which a new process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
