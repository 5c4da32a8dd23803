"""How many workers the nodes there are have room for. Pure: they are handed in."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweep.errors import ClusterError
from sweep.experiment import Experiment
from sweep.placement import Node, spread

_ROUNDS = 4  # a study's trials, over those that run at once


@dataclass(frozen=True)
class Plan:
    """The pool that an experiment gets on given nodes.

    Attributes:
        workers: Number of workers.
        cpus: CPU cores for each worker; also its threads.
        gpus: GPUs for each worker: 0, a fraction of one, or whole ones.
        lanes: Trials that each worker trains at a time; at most, if that is measured.
        is_measured: Whether workers find out themselves how many lanes are worth it.
        more: Workers beyond those that would have trials to train, if nodes joined.
    """

    workers: int
    cpus: int
    gpus: float
    lanes: int
    is_measured: bool = False
    more: int = 0

    def __str__(self) -> str:
        device = f"{self.cpus} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")
        trials = "1 trial" if self.lanes == 1 else f"{self.lanes} trials"
        if self.is_measured and self.lanes > 1:
            trials = f"up to {trials}, as many as prove fastest,"
        return (
            f"{counted(self.workers, 'worker')}, each with {device} and {trials} at a "
            "time"
        )

    def additions(
        self, nodes: Sequence[Node], present: Mapping[str, int]
    ) -> list[Node]:
        """The nodes on which a worker is to start, once for each.

        Args:
            nodes: Those there are.
            present: How many workers each has already, by its id.
        """
        rooms = {node.id: node.room(self.cpus, self.gpus) for node in nodes}
        by_id = {node.id: node for node in nodes}
        wanted = self.workers + self.more
        return [by_id[chosen] for chosen in spread(rooms, present, wanted)]


def plan_workers(experiment: Experiment, nodes: Sequence[Node], done: int = 0) -> Plan:
    """Divide nodes among an experiment's workers.

    Args:
        experiment: Its `ray` section says what a worker gets: of GPUs, auto is one if
            there is any; of trials, auto is as many as prove fastest there, within what
            leaves the sampler something to learn from. Workers without a trial are left
            out.
        nodes: Those there are. A worker is never spread over two.
        done: Trials that the study has already, which nobody trains again.

    Raises:
        ClusterError: if no node has room for a single worker.
    """
    ray = experiment.ray
    most_gpus = max((node.gpus for node in nodes), default=0.0)
    share = (
        min(most_gpus, 1.0) if ray.gpus_per_worker == "auto" else ray.gpus_per_worker
    )
    room = sum(node.room(ray.cpus_per_worker, share) for node in nodes)
    if room < 1:
        found = "; ".join(map(str, nodes)) or "no node at all"
        raise ClusterError(
            f"no node has room for a worker: it needs {ray.cpus_per_worker} CPU and "
            f"{share:g} GPU, found {found}; lower ray.cpus_per_worker or "
            "ray.gpus_per_worker, or add a node that is large enough"
        )
    cpus, lanes = ray.cpus_per_worker, ray.trials_per_worker
    wanted = max(1, experiment.trials - done)
    most = wanted if lanes == "auto" else wanted / lanes
    workers = min(room, math.ceil(most))
    more = math.ceil(most) - workers
    if lanes == "auto":
        most_lanes = _most_lanes(experiment, wanted, workers)
        return Plan(workers, cpus, share, most_lanes, is_measured=True, more=more)
    return Plan(workers, cpus, share, lanes, more=more)


def node_lines(plan: Plan, nodes: Sequence[Node]) -> list[str]:
    """What each node has, and how many workers and packs it gets."""
    counts = Counter(node.id for node in plan.additions(nodes, {}))
    return [f"{node}: {_share_of(counts[node.id], plan.lanes)}" for node in nodes]


def _share_of(workers: int, lanes: int) -> str:
    if workers == 0 or lanes == 1:
        return counted(workers, "worker")
    packs = f"{counted(workers, 'pack')} of up to {lanes} trials"
    return f"{counted(workers, 'worker')}, {packs}"


def _most_lanes(experiment: Experiment, wanted: int, workers: int) -> int:
    """How many lanes a worker should have at most.

    A sampler that learns proposes the trials that run at once from the same results:
    with a quarter of those wanted at a time, it still learns three times.
    """
    is_learning = experiment.study.sampler in ("tpe", "gp", "cmaes")
    at_once = wanted / (_ROUNDS if is_learning else 1)
    return max(1, math.ceil(at_once / workers))


def counted(number: int, what: str) -> str:
    """`1 worker`, `2 workers`."""
    return f"{number} {what}" + ("" if number == 1 else "s")
