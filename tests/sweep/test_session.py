"""A run from start to end, where its workers do not start."""

from pathlib import Path

import pytest
from rich.console import Console

from stores import Stores
from support import make_experiment, make_node
from sweep import session
from sweep.errors import ClusterError
from sweep.interrupt import Interrupt
from sweep.objective import Task
from sweep.tracking_process import TrackerProcess


class PoolThatNeverStarts:
    """A cluster that is full of other people's work."""

    def __init__(self, *_args: object) -> None:
        pass

    def load(self, _task: Task) -> None:
        raise ClusterError("no worker has started in 120 s")

    def close(self) -> None:
        pass


def test_no_run_stays_open_if_no_worker_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study's run, made while the workers were to start, is FAILED in MLflow."""
    monkeypatch.setattr(session, "RayPool", PoolThatNeverStarts)
    experiment = make_experiment(folder)
    with (
        TrackerProcess(experiment) as tracker,
        pytest.raises(ClusterError, match="no worker has started"),
    ):
        session.run_sweep(
            experiment,
            [make_node()],
            tracker,
            Console(quiet=True),
            Interrupt(print),
            lambda: None,
        )
    parent, children = Stores.in_files(folder).runs()
    assert (parent.info.status, children) == ("FAILED", {})
