"""A tracker in a process of its own, so that MLflow's work does not slow the loop.

MLflow spends tens of milliseconds of Python on a trial; in a thread it would take them
from the loop, since one interpreter runs one of them at a time.
"""

import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from sweep.errors import SweepError, SweepFailed
from sweep.experiment import Experiment
from sweep.runs import read_runs
from sweep.study_run import Opening
from sweep.tracking import Tracker
from sweep.trial import PastTrial


class TrackerProcess:
    """Forwards each call to a Tracker, and waits for its answer.

    The process ends with its driver, however that ends, after what it is writing.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Start the process; `open` comes next."""
        context = get_context("spawn")
        self._experiment = experiment
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

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
        self._process.join()

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            self._pipe.send((method, arguments))
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise SweepFailed("the process that writes to MLflow has died") from None
        if isinstance(answer, SweepError):
            raise answer
        return answer


def _serve(pipe: Connection) -> None:
    """Answer calls until the other end is closed."""
    # the driver decides when to stop; a Ctrl-C reaches every process of the terminal
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    methods: dict[str, Callable[..., Any]] = {"check": read_runs}

    def open_tracker(experiment: Experiment, opening: Opening) -> bool:
        tracker = Tracker(experiment, opening)
        calls = tracker.send, tracker.rebuild, tracker.close
        methods.update((call.__name__, call) for call in calls)
        return tracker.is_missing_runs

    methods["open"] = open_tracker
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(methods[method], arguments))


def _answer(method: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return method(*arguments)
    except SweepError as error:
        return error
    except Exception:  # noqa: BLE001 - raised in the driver, where it can be seen
        return SweepFailed(f"writing to MLflow failed: {traceback.format_exc()}")
