"""How many trials a worker had best train at a time: measured once, then remembered."""

import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from fcnet import Pack, Solver
from sweep.paths import pack_cache

_WORTH = 1.05  # a larger pack has to be faster by this factor, or it is not worth it
_MEMORY = 0.8  # share of a device's free memory that a pack may take


def fastest_pack(
    make_solver: Callable[[], Solver],
    most: int,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The size of the pack that trains most trials a second, or nearly so.

    Sizes 1, 2, 4, ... are tried for an epoch each, until one is not worth it. The
    answer is kept in the user's cache folder, for the same device and shapes.

    Args:
        make_solver: Makes a typical solver with short epochs.
        most: The largest size that is of use.
        clock: The time in seconds.
    """
    path, key = pack_cache(), _describe(make_solver(), most)
    known = _read(path)
    if key not in known:
        known[key] = choose(_measure(make_solver, most, clock))
        _write(path, known)
    return known[key]


def choose(seconds: Mapping[int, float]) -> int:
    """The smallest pack that is nearly as fast as any, from seconds by size."""
    best = max(size / taken for size, taken in seconds.items())
    return min(s for s, taken in seconds.items() if s / taken * _WORTH >= best)


def _measure(
    make_solver: Callable[[], Solver], most: int, clock: Callable[[], float]
) -> dict[int, float]:
    """Seconds of an epoch of packs of 1, 2, 4, ..., up to one that is not worth it."""
    seconds: dict[int, float] = {}
    size = 1
    while size <= most and (size == 1 or choose(seconds) == size // 2):
        solvers, pack = [make_solver() for _ in range(size)], Pack()
        if not _fits(solvers):
            break
        pack.train_epoch(solvers)  # makes its buffers
        began = clock()
        pack.train_epoch(solvers)
        seconds[size] = clock() - began
        size *= 2
    return seconds or {1: math.inf}


def _fits(solvers: Sequence[Solver]) -> bool:
    device = _device(solvers[0])
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    # its weights, its best ones, those of the pack with room for gradients and rule
    needed = 8 * sum(w.nbytes for s in solvers for w in s.model.params.values())
    return needed <= _MEMORY * free


def _describe(solver: Solver, most: int) -> str:
    device = _device(solver)
    shapes = [tuple(w.shape) for w in solver.model.params.values()]
    name = platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return (
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{shapes}, batch size {solver.batch_size}, {solver.update_rule.__name__}, "
        f"at most {most}"
    )


def _device(solver: Solver) -> torch.device:
    return solver.data["X_train"].device


def _read(path: Path) -> dict[str, int]:
    try:
        known: dict[str, int] = json.loads(path.read_text())
    except (OSError, ValueError):  # not there, or torn: it is measured again
        return {}
    return known


def _write(path: Path, known: Mapping[str, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(known, indent=2))
    unfinished.replace(path)
