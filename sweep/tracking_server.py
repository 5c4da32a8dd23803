"""The process in which a tracker runs; started by tracking_process.py.

python -m sweep.tracking_server FILE_DESCRIPTOR
"""

import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from sweep.errors import SweepError, SweepFailed
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.runs import read_runs
from sweep.tracking import Tracker


def serve(pipe: Connection) -> None:
    """Answer calls until the other end is closed."""
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
            pipe.send(_answer(methods[method], arguments))
        except (EOFError, OSError):
            return


def _answer(method: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return method(*arguments)
    except SweepError as error:
        return error
    except Exception:  # noqa: BLE001 - raised in the driver, where it can be seen
        return SweepFailed(f"writing to MLflow failed: {traceback.format_exc()}")


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
    # all is written: nothing is gained by MLflow's taking its threads down one by one
    os._exit(0)
