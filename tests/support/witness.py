"""Work that trains nothing and tells what its worker sees; as a program, asks them all.

`python witness.py ADDRESS WORKERSxGPUS...` joins a cluster and, for one pool after the
other, has so many workers started with that share of a GPU each, and prints what each
one says, as a list in JSON on a line of its own.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from processes import wait_until
from support import drain, make_spec
from sweep.cluster import connect
from sweep.plan import Plan
from sweep.trial import Ending, Message, TrialEnded, TrialSpec
from sweep.workers import RayPool

_BYTES = 8 * 1024**2


class Witness:
    """Ends each trial at once; the reason is what its worker sees, in JSON."""

    lanes = 1

    def __init__(self, task: NDArray[np.uint8], device: str, threads: int) -> None:
        self._task, self._device = task, device
        del threads

    def advance(
        self, start: Sequence[TrialSpec], stop: Mapping[int, Ending]
    ) -> list[Message]:
        """Say it."""
        del stop
        seen = json.dumps(self._see())
        complete = Ending.COMPLETE
        return [TrialEnded(s.number, s.attempt, complete, reason=seen) for s in start]

    def _see(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "node": ray.get_runtime_context().get_node_id(),
            "device": self._device,
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            "memory": place_in_file(self._task.__array_interface__["data"][0]),
            "is_writable": self._task.flags.writeable,
            "sum": int(self._task.sum()),
        }


def place_in_file(address: int) -> list[str | int]:
    """Which file's memory an address of this process is, and where in it.

    Returns:
        The file's device, inode and name, and the offset in bytes.
    """
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, offset, device, inode, *name = line.split(maxsplit=5)
        first, last = (int(bound, 16) for bound in span.split("-"))
        if first <= address < last:
            place = int(offset, 16) + address - first
            return [device, inode, *name, place]
    raise ValueError(f"{address:#x} is no address of this process")


def ask(workers: int, gpus: float) -> None:
    """Print what a pool's workers say."""
    from witness import Witness as Imported  # noqa: PLC0415 - as workers import it

    pool = RayPool(Plan(workers, cpus=1, gpus=gpus, lanes=1), Imported)
    pool.load(np.ones(_BYTES, np.uint8))
    told: list[Message] = []

    def all_ready() -> bool:
        told.extend(pool.wait(0.5))
        return pool.room() == workers

    wait_until(all_ready, 300, "all workers are ready")
    for number in range(workers):
        pool.submit(make_spec(number))
    said = [
        message for messages in drain(pool, workers).values() for message in messages
    ]
    seen = [json.loads(str(m.reason)) for m in said if isinstance(m, TrialEnded)]
    sys.stdout.write(json.dumps(seen) + "\n")
    pool.close()


if __name__ == "__main__":
    connect(sys.argv[1])
    for pool in sys.argv[2:]:
        workers, _, gpus = pool.partition("x")
        ask(int(workers), float(gpus))
