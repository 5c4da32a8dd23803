"""The pool's contract, on real Ray workers and on the stand-in alike."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import GetTimeoutError

from fcnet.image_data import Data
from fragile import Fragile
from processes import wait_until
from support import InProcessPool, drain, make_objective, make_spec
from sweep.cluster import connect, disconnect, local_cpus
from sweep.errors import ClusterError
from sweep.objective import Objective, Task
from sweep.plan import Plan
from sweep.runner import Pool
from sweep.trial import Ending, EpochReport, Message, Notice, TrialEnded
from sweep.workers import RayPool

ONE_WORKER = Plan(workers=1, cpus=1, gpus=0.0, lanes=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A private Ray of this machine, whose workers can import this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
        connect("local")
        yield
        disconnect()


def ray_pool(
    work: Any, task: Any, workers: int = 1, patience_s: float = 600.0
) -> RayPool:
    pool = RayPool(Plan(workers, cpus=1, gpus=0.0, lanes=1), work, patience_s)
    pool.load(task)
    wait_for_room(pool, 2 * workers)  # both kinds of work have two lanes
    return pool


def wait_for_room(pool: RayPool, trials: int = 1) -> None:
    """Wait until workers that start have started."""
    wait_until(lambda: not pool.wait(1.0) and pool.room() >= trials, 90, "room")


@pytest.fixture(scope="class")
def pool_on_ray(cluster: None, digits: Data) -> Iterator[RayPool]:
    """One pool for many tests: each ends the trials that it has begun."""
    pool = ray_pool(Objective, Task(digits, lanes=2))
    yield pool
    pool.close()


@pytest.fixture(params=["ray", "in process"])
def pool(request: pytest.FixtureRequest, digits: Data) -> Pool:
    """A pool with two lanes, which are free."""
    if request.param == "in process":
        return InProcessPool(make_objective(digits), lanes=2)
    on_ray: RayPool = request.getfixturevalue("pool_on_ray")
    assert on_ray.room() == 2
    return on_ray


class TestPool:
    """What every pool does."""

    def test_room_is_what_is_left_of_its_lanes(self, pool: Pool) -> None:
        """A trial takes a lane when it is submitted, and gives it back at its end."""
        assert pool.room() == 2
        pool.submit(make_spec(0))
        assert pool.room() == 1
        drain(pool, 1)
        assert pool.room() == 2

    def test_a_trial_reports_its_epochs_and_ends(self, pool: Pool) -> None:
        """Three epochs, then the end, each with number and attempt."""
        pool.submit(make_spec(5, attempt=1))
        *reports, ended = drain(pool, 1)[5]

        assert [r.epoch for r in reports if isinstance(r, EpochReport)] == [1, 2, 3]
        assert isinstance(ended, TrialEnded)
        assert (ended.number, ended.attempt) == (5, 1)
        assert ended.ending is Ending.COMPLETE

    def test_a_stopped_trial_ends_with_its_epoch(self, pool: Pool) -> None:
        """The reason comes back with it, and its companion trains on."""
        for number in (0, 1):
            pool.submit(make_spec(number))
        first = pool.wait(10.0)
        pool.stop(0, Ending.PRUNED)
        said = drain(pool, 2)

        assert {m.number for m in first if isinstance(m, EpochReport)} == {0, 1}
        [stopped] = said[0]
        assert isinstance(stopped, TrialEnded)
        assert stopped.ending is Ending.PRUNED
        assert isinstance(said[1][-1], TrialEnded)
        assert said[1][-1].ending is Ending.COMPLETE

    def test_stopping_a_trial_that_has_ended_does_nothing(self, pool: Pool) -> None:
        """The next trial with that lane is not hit by it."""
        pool.submit(make_spec(0, num_epochs=1))
        drain(pool, 1)
        pool.stop(0, Ending.PRUNED)
        pool.submit(make_spec(1))
        ended = drain(pool, 1)[1][-1]

        assert isinstance(ended, TrialEnded)
        assert ended.ending is Ending.COMPLETE

    def test_a_trial_stopped_before_it_began_ends_too(self, pool: Pool) -> None:
        """No message of it but its end."""
        pool.submit(make_spec(0))
        pool.stop(0, Ending.INTERRUPTED)
        [ended] = drain(pool, 1)[0]

        assert isinstance(ended, TrialEnded)
        assert ended.ending is Ending.INTERRUPTED


def endings(said: Mapping[int, list[Message]]) -> dict[int, Ending]:
    last = {number: messages[-1] for number, messages in said.items()}
    return {n: m.ending for n, m in last.items() if isinstance(m, TrialEnded)}


def fail(pool: RayPool, number: int) -> list[str]:
    """Have a trial fail, and return what people are told."""
    said: list[Message] = []
    while not pool.room():
        said += pool.wait(1.0)
    pool.submit(make_spec(number, learning_rate="fail"))
    while not any(isinstance(m, TrialEnded) for m in said):
        said += pool.wait(10.0)
    return [m.text for m in said if isinstance(m, Notice)]


def late(pool: RayPool) -> str:
    """Why the pool is not ready yet; its workers take a minute to load their task."""
    with pytest.raises(ClusterError, match=r"no worker has started in 0\.5 s") as found:
        pool.load("slow data")
    return str(found.value)


@pytest.mark.usefixtures("cluster")
class TestRayPool:
    """What only real processes can show."""

    def test_a_killed_worker_loses_its_trials_and_is_replaced(self) -> None:
        """They end as LOST, the other worker's do not notice, and work goes on."""
        pool = ray_pool(Fragile, "the data", workers=2)
        pool.submit(make_spec(0, learning_rate="kill"))
        pool.submit(make_spec(1))
        said = endings(drain(pool, 2))
        wait_for_room(pool, 4)
        pool.submit(make_spec(2))
        pool.submit(make_spec(3))
        said |= endings(drain(pool, 2))
        pool.close()

        assert said.pop(0) is Ending.LOST
        assert set(said.values()) == {Ending.COMPLETE}

    def test_an_exception_in_the_work_itself_fails_its_trials(self) -> None:
        """With the traceback as the reason; the worker is replaced."""
        pool = ray_pool(Fragile, "the data")
        pool.submit(make_spec(0, learning_rate="raise"))
        [failed] = drain(pool, 1)[0]
        wait_for_room(pool)
        pool.submit(make_spec(1))
        said = endings(drain(pool, 1))
        pool.close()

        assert isinstance(failed, TrialEnded)
        assert failed.ending is Ending.FAILED
        assert failed.reason is not None
        assert "a bug in the work itself" in failed.reason
        assert said == {1: Ending.COMPLETE}

    def test_a_worker_that_stands_still_too_long_is_taken_for_lost(self) -> None:
        """Its process is frozen, as by a debugger or a network that is cut."""
        pool = ray_pool(Fragile, "the data", patience_s=2.0)
        pool.submit(make_spec(0, learning_rate="stop"))
        [lost] = drain(pool, 1)[0]
        pool._patience_s = 600.0
        wait_for_room(pool)
        pool.submit(make_spec(1))
        said = endings(drain(pool, 1))
        pool.close()

        assert isinstance(lost, TrialEnded)
        assert lost.ending is Ending.LOST
        assert lost.reason == "its worker did not answer for 2 s (ray.patience)"
        assert said == {1: Ending.COMPLETE}

    def test_a_worker_that_fails_again_and_again_is_replaced_then_given_up(
        self,
    ) -> None:
        """People are told of both, and why, after each trial that has ended."""
        pool = ray_pool(Fragile, "the data")
        told: list[str] = []
        for number in range(6):
            told += fail(pool, number)
        with pytest.raises(ClusterError, match="no worker is left: .* Oops: 5"):
            pool.wait(1.0)
        pool.close()

        assert told == [
            "a worker is replaced: it failed 3 times in a row; the last time: Oops: 2"
        ]

    def test_a_worker_that_cannot_start_says_why(self) -> None:
        """The sweep ends with the reason, as the worker had it."""
        pool = RayPool(ONE_WORKER, Fragile)
        with pytest.raises(ClusterError, match="(?s)could start: .*cannot be read"):
            pool.load("bad data")
        pool.close()

    def test_workers_that_wait_for_room_are_told_from_slow_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ray may have no room for them, or they may be busy with their task."""
        monkeypatch.setattr("sweep.workers._READY_S", 0.5)
        all_cores = RayPool(Plan(1, cpus=local_cpus(), gpus=0.0, lanes=1), Fragile)
        wait_until(lambda: "have not loaded" in late(all_cores), 90, "it has its place")
        waiting = RayPool(ONE_WORKER, Fragile)

        assert "they wait for room: see `ray status`" in late(waiting)
        for pool in (all_cores, waiting):
            pool.close()

    def test_a_trial_that_finds_no_memory_goes_to_another_worker(self) -> None:
        """Even if the one that had none for it has more room."""
        pool = ray_pool(Fragile, "the data", workers=2)
        pool.submit(make_spec(0, learning_rate="crowd"))
        drain(pool, 1)
        [had_none] = [s for s in pool._slots if s.refuses(make_spec(0))]
        [other] = [s for s in pool._slots if s is not had_none]
        other.submit(make_spec(1, learning_rate="sleep"))
        pool.submit(make_spec(0, attempt=1))
        assert 0 in other.trials
        pool.close()

    def test_waiting_ends_with_its_timeout(self) -> None:
        """A worker that is busy does not hold the loop up."""
        pool = ray_pool(Fragile, "the data")
        pool.submit(make_spec(0, learning_rate="sleep"))
        began = time.monotonic()

        assert pool.wait(0.2) == []
        assert time.monotonic() - began < 5
        pool.close()

    def test_a_trial_goes_to_the_worker_with_the_least_to_do(self) -> None:
        """Two small ones beside a large one: workers end an epoch at the same time."""
        plan = Plan(workers=2, cpus=1, gpus=0.0, lanes=2)
        pool = RayPool(plan, Fragile, cost=lambda spec: float(spec.number))
        pool.load("the data")
        wait_for_room(pool, 4)
        for number in (5, 2, 3):
            pool.submit(make_spec(number))

        assert sorted(sorted(slot.trials) for slot in pool._slots) == [[2, 3], [5]]
        pool.close()

    def test_trials_are_spread_over_the_workers(self) -> None:
        """Two trials train in two processes, not one after the other in one."""
        pool = ray_pool(Fragile, "the data", workers=2)
        for number in range(2):
            pool.submit(make_spec(number, learning_rate="sleep"))

        assert pool.room() == 2
        assert [len(slot.trials) for slot in pool._slots] == [1, 1]
        pool.close()


def test_a_cluster_that_is_lost_as_workers_start_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not as an exception of Ray's."""

    def fail(_: Any) -> None:
        raise GetTimeoutError("the head is gone")

    monkeypatch.setattr(ray, "put", fail)
    pool = RayPool(ONE_WORKER, Fragile, look=lambda: ())
    with pytest.raises(ClusterError, match="the Ray cluster was lost: .*head is gone"):
        pool.load("the data")


def test_a_cluster_that_is_not_there_is_named() -> None:
    """The message has the address and what would do; no cluster is started."""
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"ray.address: found 127\.0\.0\.1:1"):
        connect("127.0.0.1:1")
    with pytest.raises(ClusterError, match="allowed: local, auto or host:port"):
        connect("somewhere")
    assert time.monotonic() - began < 30
