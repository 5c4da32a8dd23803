"""How many workers a machine has room for. Pure: what the machine has is handed in."""

import math
from dataclasses import dataclass
from typing import Literal

from sweep.errors import ClusterError


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


def plan_workers(
    *,
    cpus: float,
    gpus: float,
    cpus_per_worker: int,
    gpus_per_worker: float | Literal["auto"],
    trials_per_worker: int | Literal["auto"],
    trials: int,
) -> Plan:
    """Divide a machine among workers.

    Args:
        cpus: CPU cores there are.
        gpus: GPUs there are.
        cpus_per_worker: Cores each worker gets.
        gpus_per_worker: GPUs each worker gets; auto is one if there is any.
        trials_per_worker: Lanes of each worker; auto is one.
        trials: Trials wanted; more workers than that would idle.

    Raises:
        ClusterError: if there is no room for a single worker.
    """
    share = min(gpus, 1.0) if gpus_per_worker == "auto" else gpus_per_worker
    lanes = 1 if trials_per_worker == "auto" else trials_per_worker
    room = math.floor(cpus / cpus_per_worker)
    if share > 0:
        # fractions of a GPU are never spread over two: 0.4 fits twice into each
        per_gpu = math.floor(1 / share + 1e-9) if share <= 1 else 1 / share
        room = min(room, math.floor(gpus * per_gpu + 1e-9))
    if room < 1:
        raise ClusterError(
            f"no room for a worker: it needs {cpus_per_worker} CPU and {share:g} GPU, "
            f"found {cpus:g} CPU and {gpus:g} GPU; lower ray.cpus_per_worker or "
            "ray.gpus_per_worker, or add nodes"
        )
    return Plan(min(room, math.ceil(trials / lanes)), cpus_per_worker, share, lanes)
