"""The pool: warm processes on every CPU or GPU that Ray has.

With cluster.py, the only file that knows Ray. A worker is called once an epoch; what
comes back decides what it is told with the next call, so no trial runs on past its end.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from sweep.errors import ClusterError, first_line
from sweep.plan import Plan
from sweep.slots import Slot
from sweep.trial import (
    Ending,
    EpochReport,
    Message,
    Notice,
    TrialEnded,
    TrialSpec,
)

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


@dataclass(frozen=True)
class _Answer:
    """What comes back from a call of a worker.

    Attributes:
        messages: Of its trials.
        lanes: How many trials it trains at a time from now on.
        node: The name of its machine.
    """

    messages: list[Message]
    lanes: int
    node: str


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
    ) -> _Answer:
        """See Work.advance."""
        assert self._work is not None, "load comes first"
        messages = self._work.advance(start, stop)
        return _Answer(messages, self._work.lanes, platform.node())


class RayPool:
    """Workers that stay warm from trial to trial.

    A worker that is lost or stands still is replaced. One that fails several trials in
    a row is replaced, too, and given up if that does not help.
    """

    def __init__(
        self,
        plan: Plan,
        make_work: MakeWork,
        patience_s: float = 600.0,
        cost: Callable[[TrialSpec], float] = lambda _spec: 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to start the workers.

        Args:
            plan: How many, with what, and how many trials each trains at a time.
            make_work: Called in each worker with its task, a torch device and a number
                of threads; importable by its name there.
            patience_s: How long a worker may take for an epoch of its trials, in
                seconds; then it is taken for lost.
            cost: What an epoch of a trial costs, in any unit.
            clock: Seconds since any fixed moment.
        """
        self._plan, self._make_work = plan, make_work
        self._patience_s, self._cost, self._clock = patience_s, cost, clock
        self._task: Any = None
        self._slots = [Slot(self._start_actor(), n) for n in range(plan.workers)]

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
            slot.lanes = lanes  # until it says so itself

    def room(self) -> int:
        """How many more trials can be submitted now."""
        return sum(slot.room for slot in self._slots)

    def submit(self, spec: TrialSpec) -> None:
        """Hand a trial to the worker with the least to do and enough memory for it."""
        with_room = [slot for slot in self._slots if slot.room]
        slot = min(with_room, key=lambda slot: (slot.refuses(spec), slot.work))
        slot.submit(spec, self._cost(spec))

    def stop(self, number: int, ending: Ending) -> None:
        """End a trial after its current epoch; nothing happens if it has ended."""
        for slot in self._slots:
            slot.end(number, ending)

    def wait(self, timeout_s: float) -> list[Message]:
        """Let every worker go on, and return what the next ones have to say.

        Args:
            timeout_s: Return empty-handed after this many seconds.

        Raises:
            ClusterError: if the cluster is lost, or no worker is left.
        """
        with _cluster_errors():
            for slot in self._slots:
                if slot.call is None and slot.trials:
                    slot.call = slot.actor.advance.remote(*slot.take_orders())
                    slot.called_at = self._clock()
            calls = {slot.call: slot for slot in self._slots if slot.call is not None}
            ready: list[Any] = []
            if calls:
                ready, _ = ray.wait(list(calls), num_returns=1, timeout=timeout_s)
            if ready:
                ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
            messages = [m for call in ready for m in self._collect(calls[call])]
            messages += self._give_up_on_stalled()
            return [*messages, *self._mend()]

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

    def _collect(self, slot: Slot) -> list[Message]:
        call, slot.call = slot.call, None
        try:
            answer: _Answer = ray.get(call)
        except RayTaskError as error:
            return self._lose(slot, Ending.FAILED, str(error))
        except RayError as error:
            return self._lose(slot, Ending.LOST, f"its worker was lost: {error}")
        slot.lanes, slot.node = answer.lanes, answer.node
        messages: list[Message] = []
        for message in answer.messages:
            if isinstance(message, EpochReport):
                messages.append(slot.locate(message))
                continue
            if isinstance(message, TrialEnded):
                slot.ended(message)
            messages.append(message)
        return messages

    def _give_up_on_stalled(self) -> list[Message]:
        reason = f"its worker did not answer for {self._patience_s:g} s (ray.patience)"
        return [
            message
            for slot in self._slots
            if slot.call is not None
            and self._clock() - slot.called_at > self._patience_s
            for message in self._lose(slot, Ending.LOST, reason)
        ]

    def _lose(self, slot: Slot, ending: Ending, reason: str) -> list[Message]:
        """Give a worker's trials up, and put a new worker in its place."""
        lost = slot.lose()
        self._replace(slot)
        return [TrialEnded(s.number, s.attempt, ending, reason=reason) for s in lost]

    def _replace(self, slot: Slot) -> None:
        ray.kill(slot.actor)
        slot.actor = self._start_actor()
        slot.actor.load.remote(self._task)

    def _mend(self) -> list[Message]:
        """Replace workers that fail again and again, or do without them."""
        messages: list[Message] = []
        for slot in [slot for slot in self._slots if slot.is_hopeless]:
            ray.kill(slot.actor)
            self._slots.remove(slot)
            text = f"a worker is given up: it failed {slot.failures} times in a row"
            messages.append(Notice(text))
        for slot in self._slots:
            if slot.is_to_be_replaced:
                self._replace(slot)
                slot.is_replaced = True
                text = f"a worker is replaced: it failed {slot.failures} times in a row"
                messages.append(Notice(text))
        if not self._slots:
            raise ClusterError("no worker is left: each failed too often in a row")
        return messages


@contextmanager
def _cluster_errors() -> Iterator[None]:
    """Tell that the whole cluster is gone in words for people."""
    try:
        yield
    except RayError as error:
        raise ClusterError(
            f"the Ray cluster was lost: {first_line(error)}; the same command goes on "
            "once there is one"
        ) from error
