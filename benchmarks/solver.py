"""Milliseconds an iteration on a CPU: course code, torch.nn, our layers, the fast path.

    python benchmarks/solver.py
    python benchmarks/solver.py --hidden 200 --threads 1 --iterations 10 --repeats 3

Minibatches of 100, 3,072 inputs, 10 classes, float32, an L2 term. All ways take turns
in every repeat, so that a machine that slows down slows all of them; medians are shown.
`peak` is the share of the machine's matrix product (1024 x 1024 x 1024, measured in
the same turns) that the operations which cannot be saved amount to. `ratio` is how
many times as fast as course code a way is. Close other programs.
"""

import argparse
import platform
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import torch

import contenders

WAYS: dict[str, Callable[[contenders.Problem], contenders.Contender]] = {
    "course code": contenders.course,
    "torch.nn, autograd": contenders.autograd,
    "our layers": partial(contenders.solver, fast=False),
    "our fast path": partial(contenders.solver, fast=True),
}


def seconds_each(steps: contenders.Contender, count: int) -> float:
    """Measure the seconds of one of so many steps."""
    began = perf_counter()
    steps(count)
    return (perf_counter() - began) / count


def gemm(matrix: torch.Tensor, count: int) -> None:
    """Multiply a square matrix by itself so many times."""
    for _ in range(count):
        matrix @ matrix


def measure(
    hidden: int, iterations: int, repeats: int
) -> tuple[dict[str, float], float]:
    """Measure every way, in turns.

    Returns:
        Median seconds an iteration of each way, and the peak in operations a second.
    """
    problem = contenders.draw_problem(hidden, "cpu", torch.float32)
    runners = {name: way(problem) for name, way in WAYS.items()}
    runners["peak"] = partial(gemm, torch.randn(1024, 1024))
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for repeat in range(repeats + 1):
        for name, steps in runners.items():
            taken = seconds_each(steps, iterations)
            if repeat:  # the first turn warms up
                seconds[name].append(taken)
    medians = {name: median(times) for name, times in seconds.items()}
    return medians, 2 * 1024**3 / medians.pop("peak")


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--iterations", type=int, default=50, help="at most 50")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {platform.machine()}, {given.repeats} repeats")
    header = (
        f"{'threads':>7} {'hidden':>6}  {'way':20} {'ms':>8} {'peak':>6} {'ratio':>6}"
    )
    for threads in given.threads:
        torch.set_num_threads(threads)
        for hidden in given.hidden:
            seconds, peak = measure(hidden, given.iterations, given.repeats)
            flops = contenders.needed_flops(hidden)
            print(f"\nmatrix product: {peak / 1e9:.0f} GFLOP/s\n{header}")
            for name, taken in seconds.items():
                share, ratio = flops / taken / peak, seconds["course code"] / taken
                print(
                    f"{threads:7} {hidden:6}  {name:20} {1e3 * taken:8.3f} "
                    f"{share:6.1%} {ratio:5.2f}x"
                )


if __name__ == "__main__":
    main()
