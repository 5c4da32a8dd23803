"""The pool: warm processes on every CPU or GPU that Ray has.

With cluster.py and worker_process.py, the only file that knows Ray. A worker is called
once an epoch; what comes back decides what it is told with the next call, so no trial
runs on past its end.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from sweep.cluster import look as look_around
from sweep.errors import ClusterError, first_line, last_line
from sweep.membership import Membership
from sweep.placement import Node
from sweep.plan import Plan
from sweep.slots import Slot
from sweep.trial import Ending, EpochReport, Message, TrialEnded, TrialSpec
from sweep.worker_process import Answer, MakeWork, start_worker

_READY_S = 120.0  # how long a worker may take to start
_LOOK_S = 1.0  # from one look at the nodes to the next


class RayPool:
    """Workers that stay warm from trial to trial.

    Every node has as many as there is room for, those that join later, too; a node that
    is gone takes its workers with it. A worker that is lost or stands still is
    replaced. One that fails several trials in a row is replaced, too, and given up if
    that does not help.
    """

    def __init__(
        self,
        plan: Plan,
        make_work: MakeWork,
        patience_s: float = 600.0,
        cost: Callable[[TrialSpec], float] = lambda _spec: 1.0,
        clock: Callable[[], float] = time.monotonic,
        look: Callable[[], Sequence[Node]] = look_around,
    ) -> None:
        """Begin to start the workers.

        Args:
            plan: How many, with what, and how many trials each trains at a time.
            make_work: Called in each worker with its task, a torch device and a number
                of threads; importable by its name there.
            patience_s: How long a worker may take for an epoch of its trials, in
                seconds; then it is taken for lost. Also how long there may be none,
                if it is longer than a worker may take to start.
            cost: What an epoch of a trial costs, in any unit.
            clock: Seconds since any fixed moment.
            look: Returns the nodes there are.
        """
        self._plan, self._make_work = plan, make_work
        self._patience_s, self._cost, self._clock = patience_s, cost, clock
        self._look, self._looked_at = look, clock()
        self._ready_at = clock()
        self._task: Any = None
        self._members = Membership(plan, self._start, ray.kill, clock)
        with _cluster_errors():
            self._members.follow(look())

    @property
    def _slots(self) -> list[Slot]:
        return self._members.slots

    def load(self, task: Any) -> None:
        """Hand the task to every worker, its arrays through Ray's shared memory.

        Raises:
            ClusterError: if no worker has started in time, or none could.
        """
        deadline = self._clock() + _READY_S
        with _cluster_errors():
            self._task = ray.put(task)
            while not any(slot.is_ready for slot in self._slots):
                if all(slot.actor is None for slot in self._slots):
                    raise ClusterError(f"no worker could start: {self._why_none()}")
                self._call_workers()
                left = max(0.0, deadline - self._clock())
                answered = self._wait_for_answers(left)
                if not answered:
                    raise ClusterError(
                        f"no worker has started in {_READY_S:g} s; wanted: "
                        f"{self._plan}; {self._why_none()}"
                    )
                for slot in answered:
                    self._collect(slot)

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
            # what may end the sweep comes first: no answer is lost with it
            messages = [*self._members.mend(), *self._follow()]
            self._call_workers()
            for slot in self._wait_for_answers(timeout_s):
                messages += self._collect(slot)
            return [*messages, *self._give_up_on_stalled()]

    def close(self) -> None:
        """End every worker at once."""
        self._members.close()

    def _start(self, node: Node) -> tuple[Any, Any]:
        return start_worker(node, self._plan, self._make_work)

    def _call_workers(self) -> None:
        """Hand the task to those that have a place now, and orders to the others."""
        for slot in self._slots:
            if slot.actor is None or slot.call is not None:
                continue
            if not slot.is_ready:
                slot.call = slot.actor.load.remote(self._make_work, self._task)
            elif slot.trials:
                slot.call = slot.actor.advance.remote(*slot.take_orders())
            slot.called_at = self._clock()

    def _wait_for_answers(self, timeout_s: float) -> list[Slot]:
        calls = {slot.call: slot for slot in self._slots if slot.call is not None}
        if not calls:
            time.sleep(min(timeout_s, _LOOK_S))
            return []
        ready, _ = ray.wait(list(calls), num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
        return [calls[call] for call in ready]

    def _collect(self, slot: Slot) -> list[Message]:
        call, slot.call = slot.call, None
        try:
            answer = ray.get(call)
        except RayTaskError as error:
            return self._lose(slot, Ending.FAILED, str(error))
        except RayError as error:
            return self._lose(slot, Ending.LOST, f"its worker was lost: {error}")
        if not slot.is_placed:
            slot.is_placed = True
            return []
        return self._take(slot, answer)

    def _take(self, slot: Slot, answer: Answer) -> list[Message]:
        slot.get_ready(answer.lanes)
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
            if slot.is_ready
            and slot.call is not None
            and self._clock() - slot.called_at > self._patience_s
            for message in self._lose(slot, Ending.LOST, reason)
        ]

    def _lose(self, slot: Slot, ending: Ending, reason: str) -> list[Message]:
        self._looked_at = -math.inf  # its node may be gone, too
        return self._members.lose(slot, ending, reason)

    def _follow(self) -> list[Message]:
        """Look at the nodes now and then; have workers where there is room.

        Raises:
            ClusterError: if there has been no worker for too long.
        """
        now = self._clock()
        longest = max(self._patience_s, _READY_S)
        if any(slot.is_ready for slot in self._slots):
            self._ready_at = now
        elif now - self._ready_at > longest:
            raise ClusterError(
                f"no worker has been ready for {longest:g} s: "
                f"{last_line(self._why_none())}; the same command goes on once the "
                "cluster has room"
            )
        if now - self._looked_at < _LOOK_S:
            return []
        self._looked_at = now
        try:
            nodes = self._look()
        except ClusterError:
            return []  # the head is busy, or gone: then calls fail, too
        if not nodes:
            raise ClusterError(
                "the Ray cluster was lost: it has no node any more; the same command "
                "goes on once there is one"
            )
        return self._members.follow(nodes)

    def _why_none(self) -> str:
        """Why there is no worker that takes trials."""
        reasons = [slot.reason for slot in self._slots if slot.reason]
        if reasons:
            return reasons[-1]
        if any(slot.is_placed for slot in self._slots):
            return "those that run have not loaded their task yet"
        return "they wait for room: see `ray status` for what the cluster has free"


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
