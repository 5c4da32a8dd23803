"""One driver for each study: who may take it, and who may write it no more."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from support import make_ended, make_experiment, make_report, open_study, tell
from sweep.errors import LeaseLost, StudyBusy
from sweep.lease import DEAD_AFTER_S, Driver, Lease, this_driver
from sweep.study import OptunaStudy
from sweep.trial import State


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    """A storage with one study, whose id is 1."""
    storage = RDBStorage(f"sqlite:///{tmp_path}/optuna.db")
    assert storage.create_new_study([StudyDirection.MAXIMIZE], "study") == 1
    return storage


def hold(storage: RDBStorage, driver: Driver) -> Lease:
    """Have a driver's name stand in the study, as if it had taken it."""
    storage.set_study_user_attr(1, "driver", asdict(driver))
    return Lease(storage, 1, driver)


class Clock:
    """Time that passes by sleeping, and what else happens meanwhile."""

    def __init__(self, happens: Callable[[], None] = lambda: None) -> None:
        self.now, self._happens = 0.0, happens

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._happens()


def acquire(storage: RDBStorage, clock: Clock | None = None) -> Lease:
    clock = clock or Clock()
    lease = Lease(storage, 1, this_driver())
    lease.acquire(lambda _text: None, clock.sleep, clock)
    return lease


def test_a_study_that_nobody_runs_is_taken_at_once(storage: RDBStorage) -> None:
    """The driver's name stands in it, for other drivers to read."""
    acquire(storage)

    stored = storage.get_study_user_attrs(1)["driver"]
    assert stored["pid"] == os.getpid()


def test_a_driver_that_lives_on_this_machine_keeps_its_study(
    storage: RDBStorage,
) -> None:
    """The second one is told who it is: host, process, since when."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as other:
        began = psutil.Process(other.pid).create_time()
        first = replace(this_driver(), pid=other.pid, began=began)
        hold(storage, first)
        words = f"process {other.pid} on {first.host}, since {first.since}"
        with pytest.raises(StudyBusy, match=words):
            acquire(storage)
        other.kill()
        other.wait()

    acquire(storage)


def test_a_process_that_only_has_a_dead_driver_s_number_is_not_it(
    storage: RDBStorage,
) -> None:
    """Numbers are used again; the moment at which a process began is not."""
    parent = psutil.Process().ppid()
    hold(storage, replace(this_driver(), pid=parent, began=12.0))

    acquire(storage)


def test_a_driver_elsewhere_is_dead_when_it_stands_still(storage: RDBStorage) -> None:
    """By the clock here: two machines' clocks are never compared."""
    hold(storage, replace(this_driver(), host="elsewhere"))
    clock = Clock()
    acquire(storage, clock)

    assert clock.now >= DEAD_AFTER_S


def test_a_driver_elsewhere_that_shows_life_keeps_its_study(
    storage: RDBStorage,
) -> None:
    """One beat within the time is enough."""
    other = hold(storage, replace(this_driver(), host="elsewhere"))

    def beat() -> None:
        with storage.engine.begin() as connection:
            other.beat(connection, now=0.0)

    with pytest.raises(StudyBusy, match="on elsewhere"):
        acquire(storage, Clock(beat))


def test_of_two_that_find_a_dead_driver_one_takes_over(storage: RDBStorage) -> None:
    """The other one is refused, although it has waited as long."""
    hold(storage, replace(this_driver(), host="elsewhere"))
    rival = replace(this_driver(), host="rival")
    clock = Clock()

    def rival_takes_over() -> None:
        if clock.now >= DEAD_AFTER_S:
            hold(storage, rival)

    clock._happens = rival_takes_over
    with pytest.raises(StudyBusy, match="just now"):
        acquire(storage, clock)
    assert (
        json.loads(json.dumps(asdict(rival)))
        == (storage.get_study_user_attrs(1)["driver"])
    )


def test_a_lease_that_is_released_is_free(storage: RDBStorage) -> None:
    """And one that was taken over is not released by its former holder."""
    lease = acquire(storage)
    lease.release()
    assert "driver" not in storage.get_study_user_attrs(1)

    acquire(storage)
    lease.release()
    assert "driver" in storage.get_study_user_attrs(1)


def test_a_driver_that_was_believed_dead_may_write_no_more(tmp_path: Path) -> None:
    """Neither a report nor an ending of it reaches the study."""
    experiment = make_experiment(tmp_path)
    late = open_study(experiment)
    late.ask()
    successor = open_study(experiment)
    spec = successor.ask()

    with pytest.raises(LeaseLost, match="taken the study over"):
        late.report(make_report())
    tell(successor, make_ended(spec.number, attempt=spec.attempt))
    assert OptunaStudy(experiment).states == {0: State.COMPLETE}
