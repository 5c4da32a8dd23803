"""A worker's process: its work, called once an epoch, on the node it was started for.

With cluster.py and workers.py, knows Ray.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep.placement import Node
from sweep.plan import Plan
from sweep.trial import Ending, Message, TrialSpec


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
class Answer:
    """What comes back from a call of a worker.

    Attributes:
        lanes: How many trials it trains at a time from now on.
        messages: Of its trials.
    """

    lanes: int
    messages: tuple[Message, ...] = ()


class Worker:
    """A worker's process, as Ray runs it."""

    def __init__(self, device: str, threads: int) -> None:
        """Wait for the task; quickly, so that people know who has a place.

        Args:
            device: A torch device.
            threads: CPU threads to compute with.
        """
        self._device, self._threads = device, threads
        self._work: Work | None = None

    def warm_up(self, make_work: MakeWork) -> None:
        """Be called: unpickling `make_work` has imported torch by now."""

    def load(self, make_work: MakeWork, task: Any) -> Answer:
        """Take the task, once.

        Args:
            make_work: Makes the work of the task, the device and the threads.
            task: Its arrays lie in the node's shared memory, once for all workers.
        """
        self._work = make_work(task, self._device, self._threads)
        return Answer(self._work.lanes)

    def advance(self, start: Sequence[TrialSpec], stop: Mapping[int, Ending]) -> Answer:
        """See Work.advance."""
        assert self._work is not None, "load comes first"
        messages = self._work.advance(start, stop)
        return Answer(self._work.lanes, tuple(messages))


def start_worker(node: Node, plan: Plan, make_work: MakeWork) -> tuple[Any, Any]:
    """Have Ray start a worker on a node, as soon as that has room.

    Returns:
        Its actor, and what is there once it has its place.
    """
    remote: Any = ray.remote(Worker).options(
        num_cpus=plan.cpus,
        num_gpus=plan.gpus,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
    )
    actor = remote.remote("cuda" if plan.gpus else "cpu", plan.cpus)
    placed = actor.__ray_ready__.remote()
    # while the data still loads; whether it can be imported, `load` will say
    actor.warm_up.options(num_returns=0).remote(make_work)
    return actor, placed
