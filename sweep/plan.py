"""How many workers a machine has room for. Pure: what the machine has is handed in."""

import math
from dataclasses import dataclass

from sweep.errors import ClusterError
from sweep.experiment import Experiment


@dataclass(frozen=True)
class Plan:
    """The pool that an experiment gets on a given machine or cluster.

    Attributes:
        workers: Number of workers.
        cpus: CPU cores for each worker; also its threads.
        gpus: GPUs for each worker: 0, a fraction of one, or whole ones.
        lanes: Trials that each worker trains at a time.
    """

    workers: int
    cpus: int
    gpus: float
    lanes: int

    def __str__(self) -> str:
        device = f"{self.cpus} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")
        trials = "1 trial" if self.lanes == 1 else f"{self.lanes} trials"
        plural = "" if self.workers == 1 else "s"
        return (
            f"{self.workers} worker{plural}, each with {device} and {trials} at a time"
        )


def plan_workers(experiment: Experiment, cpus: float, gpus: float) -> Plan:
    """Divide a machine among an experiment's workers.

    Args:
        experiment: Its `ray` section says what a worker gets: of GPUs, auto is one if
            there is any; of trials, auto is one. Workers without a trial are left out.
        cpus: CPU cores there are.
        gpus: GPUs there are.

    Raises:
        ClusterError: if there is no room for a single worker.
    """
    ray = experiment.ray
    share = min(gpus, 1.0) if ray.gpus_per_worker == "auto" else ray.gpus_per_worker
    lanes = 1 if ray.trials_per_worker == "auto" else ray.trials_per_worker
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
    workers = min(room, math.ceil(experiment.trials / lanes))
    return Plan(workers, ray.cpus_per_worker, share, lanes)
