"""Time and memory of a pack as it grows, as a plot.

    python benchmarks/pack_growth.py [--output docs/images/pack_growth.png]

Packs of 1, 2, 4, ... two-layer nets of 128 hidden units each train with minibatches of
100 of random examples of CIFAR-10's shape, float32, plain sgd with an L2 term. For each
size a process of its own trains one pack and tells the milliseconds of an iteration for
each net (median and quartiles of `--turns` turns) and the memory that the nets, their
solvers and their pack took: on a GPU what torch allocated at most, on a CPU how far the
process grew, without the examples. It ends at `--largest`.

Needs torch, psutil and matplotlib (the extra `benchmark`). Close other programs.
"""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import TypedDict

import psutil
import torch

import contenders
from pack_sizes import draw_examples

MIB, HIDDEN = 2**20, 128


class Growth(TypedDict):
    """What a pack of one size takes.

    Attributes:
        size: Number of nets.
        milliseconds: Of an iteration, for each net: quartiles.
        mebibytes: Memory of the whole pack.
    """

    size: int
    milliseconds: list[float]
    mebibytes: float


def measure(size: int, turns: int, iterations: int, threads: int) -> Growth:
    """Train one pack in this process."""
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    X, y = (tensor.to(device) for tensor in draw_examples(iterations * contenders.N))
    before = memory(device)
    train = contenders.pack(X, y, [HIDDEN] * size)
    train(iterations)  # warms up
    grown = memory(device) - before
    taken = []
    for _ in range(turns):
        began = perf_counter()
        train(iterations)
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(1e3 * (perf_counter() - began) / iterations / size)
    return Growth(size=size, milliseconds=quantiles(taken, n=4), mebibytes=grown / MIB)


def memory(device: str) -> int:
    """Bytes that are taken, on a GPU at most so far."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return int(psutil.Process().memory_info().rss)


def measure_apart(size: int, arguments: argparse.Namespace) -> Growth:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--size", str(size)]
    for name in ("turns", "iterations", "threads"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Growth = json.loads(done.stdout)
    return found


def draw(found: Sequence[Growth], where: str, output: Path) -> None:
    """Draw both curves over the size of the pack."""
    import matplotlib.pyplot as plt

    sizes = [growth["size"] for growth in found]
    low, middle, high = zip(*(g["milliseconds"] for g in found), strict=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.fill_between(sizes, low, high, alpha=0.25, linewidth=0)
    left.plot(sizes, middle, marker="o")
    left.set(title="time of an iteration, for each net", ylabel="milliseconds")
    right.plot(sizes, [growth["mebibytes"] for growth in found], marker="o")
    right.set(title="memory of the pack", ylabel="MiB")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, map(str, sizes))
        axes.set(xlabel="nets in the pack", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.suptitle(where, fontsize="small")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=120)


def main() -> None:
    """Measure one size, or each of them, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, help="measure this size alone")
    parser.add_argument("--largest", type=int, default=64)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--output", type=Path, default=Path("docs/images/pack_growth.png")
    )
    given = parser.parse_args()
    if given.size is not None:
        one = measure(given.size, given.turns, given.iterations, given.threads)
        print(json.dumps(one))
        return
    sizes = [2**i for i in range(given.largest.bit_length())]
    found = [measure_apart(size, given) for size in sizes]
    gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if gpu else platform.machine()
    where = f"{device}, hidden {HIDDEN}, torch {torch.__version__}, n = {given.turns}"
    print(f"{where}\n\n| nets | ms for each net (quartiles) | MiB |\n|---:|---:|---:|")
    for growth in found:
        low, middle, high = growth["milliseconds"]
        time = f"{middle:.2f} ({low:.2f}–{high:.2f})"
        print(f"| {growth['size']} | {time} | {growth['mebibytes']:.0f} |")
    draw(found, where, given.output)


if __name__ == "__main__":
    main()
