"""How many workers a machine has room for. Pure: what the machine has is handed in."""

import math
from dataclasses import dataclass

from sweep.errors import ClusterError
from sweep.experiment import Experiment

_ROUNDS = 4  # a study's trials, over those that run at once


@dataclass(frozen=True)
class Plan:
    """The pool that an experiment gets on a given machine or cluster.

    Attributes:
        workers: Number of workers.
        cpus: CPU cores for each worker; also its threads.
        gpus: GPUs for each worker: 0, a fraction of one, or whole ones.
        lanes: Trials that each worker trains at a time; at most, if that is measured.
        is_measured: Whether workers find out themselves how many lanes are worth it.
    """

    workers: int
    cpus: int
    gpus: float
    lanes: int
    is_measured: bool = False

    def __str__(self) -> str:
        device = f"{self.cpus} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")
        trials = "1 trial" if self.lanes == 1 else f"{self.lanes} trials"
        if self.is_measured and self.lanes > 1:
            trials = f"up to {trials}, as many as prove fastest,"
        plural = "" if self.workers == 1 else "s"
        return (
            f"{self.workers} worker{plural}, each with {device} and {trials} at a time"
        )


def plan_workers(experiment: Experiment, cpus: float, gpus: float) -> Plan:
    """Divide a machine among an experiment's workers.

    Args:
        experiment: Its `ray` section says what a worker gets: of GPUs, auto is one if
            there is any; of trials, auto is as many as prove fastest there, within what
            leaves the sampler something to learn from. Workers without a trial are left
            out.
        cpus: CPU cores there are.
        gpus: GPUs there are.

    Raises:
        ClusterError: if there is no room for a single worker.
    """
    ray = experiment.ray
    share = min(gpus, 1.0) if ray.gpus_per_worker == "auto" else ray.gpus_per_worker
    room = math.floor(cpus / ray.cpus_per_worker)
    if share > 0:
        # fractions of a GPU are never spread over two: 0.4 fits twice into each
        per_gpu = math.floor(1 / share + 1e-9) if share <= 1 else 1 / share
        room = min(room, math.floor(gpus * per_gpu + 1e-9))
    if room < 1:
        raise ClusterError(
            f"no room for a worker: it needs {ray.cpus_per_worker} CPU and {share:g} "
            f"GPU, found {cpus:g} CPU and {gpus:g} GPU; lower ray.cpus_per_worker or "
            "ray.gpus_per_worker, or add nodes"
        )
    cpus_each, lanes = ray.cpus_per_worker, ray.trials_per_worker
    if lanes == "auto":
        workers = min(room, experiment.trials)
        most = _most_lanes(experiment, workers)
        return Plan(workers, cpus_each, share, most, is_measured=True)
    workers = min(room, math.ceil(experiment.trials / lanes))
    return Plan(workers, cpus_each, share, lanes)


def _most_lanes(experiment: Experiment, workers: int) -> int:
    """How many lanes a worker should have at most.

    A sampler that learns proposes the trials that run at once from the same results:
    with a quarter of the study at a time, it still learns three times.
    """
    is_learning = experiment.study.sampler in ("tpe", "gp", "cmaes")
    at_once = experiment.trials / (_ROUNDS if is_learning else 1)
    return max(1, math.ceil(at_once / workers))
