"""Milliseconds an iteration on a CPU: course code, torch.nn, our layers, the fast path.

    python benchmarks/solver.py
    python benchmarks/solver.py --hidden 200 --threads 1 --turns 5 --clock cpu

Minibatches of 100, 3,072 inputs, 10 classes, float32, an L2 term. All ways take turns,
50 iterations each, so that a machine that slows down slows all of them; the first turn
warms up. Prints a Markdown table:

- `ms`: the median over n turns, and in brackets the middle half of them;
- `peak`: the share of the machine's matrix product (1024 x 1024 x 1024, in the same
  turns) that the operations which cannot be saved amount to;
- `of course code`, `of torch.nn`: the time as a share of theirs in the same turn,
  median and middle half.

Close other programs. Where that is not possible, `--clock cpu` counts the time that one
thread computes instead of the time that passes.
"""

import argparse
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median, quantiles

import torch

import contenders

COURSE, TORCH, PEAK = "course code", "torch.nn, autograd", "matrix product"
WAYS: dict[str, Callable[[contenders.Problem], contenders.Contender]] = {
    COURSE: contenders.course,
    TORCH: contenders.autograd,
    "our layers": partial(contenders.solver, fast=False),
    "our fast path": partial(contenders.solver, fast=True),
}
ITERATIONS = contenders.M // contenders.N
PRODUCTS, SIDE = 4, 1024
HEADER = (
    "| threads | hidden | way | n | ms | peak | of course code | of torch.nn |\n"
    "|---:|---:|---|---:|---:|---:|---:|---:|"
)
Clock = Callable[[], float]


def gemm(matrix: torch.Tensor, out: torch.Tensor, count: int) -> None:
    """Multiply a square matrix by itself so many times."""
    for _ in range(count):
        torch.mm(matrix, matrix, out=out)


def measure(hidden: int, turns: int, clock: Clock) -> dict[str, list[float]]:
    """Measure every way, in turns: the seconds of one iteration in each turn."""
    problem = contenders.draw_problem(hidden, "cpu", torch.float32)
    counts = dict.fromkeys(WAYS, ITERATIONS) | {PEAK: PRODUCTS}
    runners = {name: way(problem) for name, way in WAYS.items()}
    matrix = torch.randn(SIDE, SIDE)
    runners[PEAK] = partial(gemm, matrix, torch.empty_like(matrix))
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(turns + 1):
        for name, steps in runners.items():
            began = clock()
            steps(counts[name])
            if turn:
                seconds[name].append((clock() - began) / counts[name])
    return seconds


def spread(values: Sequence[float], digits: int) -> str:
    """Write a median, and in brackets the quartiles."""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def rows(
    seconds: Mapping[str, Sequence[float]], threads: int, hidden: int
) -> list[str]:
    """Write the table's rows of one setting."""
    flops, turns = contenders.needed_flops(hidden), len(seconds[PEAK])
    lines = []
    for name in WAYS:
        shares = [
            flops / taken * product / (2 * SIDE**3)
            for taken, product in zip(seconds[name], seconds[PEAK], strict=True)
        ]
        ratios = (
            spread([a / b for a, b in zip(seconds[name], other, strict=True)], 2)
            for other in (seconds[COURSE], seconds[TORCH])
        )
        ms = spread([1e3 * taken for taken in seconds[name]], 2)
        cells = threads, hidden, name, turns, ms, f"{median(shares):.0%}", *ratios
        lines.append(f"| {' | '.join(map(str, cells))} |")
    speed = spread([2e-9 * SIDE**3 / taken for taken in seconds[PEAK]], 0)
    lines.append(f"| {threads} | | {PEAK}: {speed} GFLOP/s | {turns} | | | | |")
    return lines


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    given = parser.parse_args()
    if given.turns < 2:
        parser.error(f"--turns must be at least 2, but got {given.turns}")
    if given.clock == "cpu" and given.threads != [1]:
        parser.error("--clock cpu counts one thread: give --threads 1")
    clock = time.perf_counter if given.clock == "wall" else time.thread_time
    print(f"torch {torch.__version__}, {platform.machine()}, {given.clock} time\n")
    print(HEADER)
    for threads in given.threads:
        torch.set_num_threads(threads)
        for hidden in given.hidden:
            seconds = measure(hidden, given.turns, clock)
            print("\n".join(rows(seconds, threads, hidden)), flush=True)


if __name__ == "__main__":
    main()
