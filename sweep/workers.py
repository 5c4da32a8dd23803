"""The pool: warm processes on every CPU or GPU that Ray has.

The only file that knows Ray. A worker is called once an epoch; what comes back decides
what it is told with the next call, so no trial runs on past its end.
"""

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from sweep.errors import ClusterError, first_line
from sweep.plan import Plan
from sweep.trial import Ending, Message, TrialEnded, TrialSpec

_READY_S = 120.0  # how long the first worker may take to start


class Work(Protocol):
    """What a worker does; see objective.Objective.

    Attributes:
        lanes: How many trials it trains at a time; may shrink.
    """

    lanes: int

    def advance(
        self, start: Sequence[TrialSpec], stop: Mapping[int, Ending]
    ) -> list[Message]:
        """Begin trials, end others, and train every lane for one epoch."""


MakeWork = Callable[[Any, str, int], Work]  # task, device, threads


class _Worker:
    """A worker's process, as Ray runs it."""

    def __init__(self, make_work: MakeWork, device: str, threads: int) -> None:
        # unpickling make_work has imported torch by now, while the data still loads
        self._make_work, self._device, self._threads = make_work, device, threads
        self._work: Work | None = None

    def load(self, task: Any) -> int:
        """Take the task, once; return the number of lanes."""
        self._work = self._make_work(task, self._device, self._threads)
        return self._work.lanes

    def advance(
        self, start: Sequence[TrialSpec], stop: Mapping[int, Ending]
    ) -> tuple[list[Message], int]:
        """See Work.advance; also return the number of lanes."""
        assert self._work is not None, "load comes first"
        return self._work.advance(start, stop), self._work.lanes


@dataclass
class _Slot:
    """A place in the pool: the worker there, its trials, and what it is told next."""

    actor: Any
    room: int = 1  # trials that the worker takes at most
    lanes: dict[int, TrialSpec] = field(default_factory=dict)
    start: list[TrialSpec] = field(default_factory=list)
    stop: dict[int, Ending] = field(default_factory=dict)
    call: Any = None


def connect(address: str) -> tuple[float, float]:
    """Join a Ray cluster, or start a private one of this machine alone.

    Args:
        address: `local`, `auto` or `host:port`.

    Returns:
        The CPU cores and GPUs there are.

    Raises:
        ClusterError: if there is no cluster at that address.
    """
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        # Nobody else on this machine may command the workers. Ray reads the token once
        # a process, and turns it on where the mode is unset; setting that is too late.
        os.environ.pop("RAY_AUTH_MODE", None)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        options |= {"include_dashboard": False, "num_cpus": local_cpus()}
    elif address != "auto":
        _check_reachable(address)
    try:
        ray.init(address=address, **options)
    except (RayError, RuntimeError, ValueError, OSError) as error:
        raise _no_cluster(address, error) from error
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def _check_reachable(address: str) -> None:
    # ray.init would go on trying for a minute
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5.0).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> ClusterError:
    return ClusterError(
        f"ray.address: found {address}: {first_line(error)}; allowed: local, auto or "
        "host:port of a running cluster"
    )


def local_cpus() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def disconnect() -> None:
    """Leave the cluster; a private one ends."""
    ray.shutdown()


class RayPool:
    """Workers that stay warm from trial to trial; a dead one is replaced."""

    def __init__(self, plan: Plan, make_work: MakeWork) -> None:
        """Begin to start the workers.

        Args:
            plan: How many, with what, and how many trials each trains at a time.
            make_work: Called in each worker with its task, a torch device and a number
                of threads; importable by its name there.
        """
        self._plan = plan
        self._make_work = make_work
        self._task: Any = None
        self._slots = [_Slot(self._start_actor()) for _ in range(plan.workers)]

    def load(self, task: Any) -> None:
        """Hand the task to every worker, its arrays through Ray's shared memory.

        Raises:
            ClusterError: if no worker has started in time, or the first one could not.
        """
        self._task = ray.put(task)
        ready = [slot.actor.load.remote(self._task) for slot in self._slots]
        started, _ = ray.wait(ready, timeout=_READY_S)
        if not started:
            raise ClusterError(
                f"no worker has started in {_READY_S:g} s; wanted: {self._plan}; see "
                "`ray status` for what the cluster has free"
            )
        try:
            [lanes] = ray.get(started)
        except RayError as error:
            raise ClusterError(f"a worker could not start: {error}") from error
        for slot in self._slots:
            slot.room = lanes  # until it says so itself

    def room(self) -> int:
        """How many more trials can be submitted now."""
        return sum(max(0, slot.room - len(slot.lanes)) for slot in self._slots)

    def submit(self, spec: TrialSpec) -> None:
        """Hand a trial to the worker with the most room."""
        slot = max(self._slots, key=lambda slot: slot.room - len(slot.lanes))
        slot.lanes[spec.number] = spec
        slot.start.append(spec)

    def stop(self, number: int, ending: Ending) -> None:
        """End a trial after its current epoch; nothing happens if it has ended."""
        for slot in self._slots:
            if number in slot.lanes:
                slot.stop[number] = ending

    def wait(self, timeout_s: float) -> list[Message]:
        """Let every worker go on, and return what the next ones have to say.

        Args:
            timeout_s: Return empty-handed after this many seconds.
        """
        for slot in self._slots:
            if slot.call is None and slot.lanes:
                self._go_on(slot)
        calls = {slot.call: slot for slot in self._slots if slot.call is not None}
        ready, _ = ray.wait(list(calls), num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
        return [message for call in ready for message in self._collect(calls[call])]

    def close(self) -> None:
        """End every worker at once."""
        for slot in self._slots:
            ray.kill(slot.actor)
        self._slots = []

    def _start_actor(self) -> Any:
        device = "cuda" if self._plan.gpus else "cpu"
        actor = ray.remote(_Worker).options(
            num_cpus=self._plan.cpus,
            num_gpus=self._plan.gpus,
            scheduling_strategy="SPREAD",
        )
        return actor.remote(self._make_work, device, self._plan.cpus)

    def _go_on(self, slot: _Slot) -> None:
        slot.call = slot.actor.advance.remote(slot.start, slot.stop)
        slot.start, slot.stop = [], {}

    def _collect(self, slot: _Slot) -> list[Message]:
        messages: list[Message]
        call, slot.call = slot.call, None
        try:
            messages, slot.room = ray.get(call)
        except RayTaskError as error:
            return self._replace(slot, Ending.FAILED, str(error))
        except RayError as error:
            return self._replace(slot, Ending.LOST, f"its worker was lost: {error}")
        for message in messages:
            if isinstance(message, TrialEnded):
                slot.lanes.pop(message.number)
                slot.stop.pop(message.number, None)
        return messages

    def _replace(self, slot: _Slot, ending: Ending, reason: str) -> list[Message]:
        """Put a new worker in a broken one's place, and give its trials up."""
        ended: list[Message] = [
            TrialEnded(spec.number, spec.attempt, ending, reason=reason)
            for spec in slot.lanes.values()
        ]
        ray.kill(slot.actor)
        slot.lanes, slot.start, slot.stop = {}, [], {}
        slot.actor = self._start_actor()
        slot.actor.load.remote(self._task)
        return ended
