"""Milliseconds an iteration of one net among many: torch.nn, alone, in packs.

    python benchmarks/pack_sizes.py
    python benchmarks/pack_sizes.py --threads 1 --iterations 20 --examples 5000

The same 16 two-layer nets, of 32 to 512 hidden units (log-uniform, seed fixed), train
on the CPU one after another by torch.nn, autograd and torch.optim.SGD; one after
another by a Solver; and in packs of 2, 4, 8 and 16. Minibatches of 100 of random
examples of CIFAR-10's shape, float32, plain sgd with an L2 term. Needs torch alone.

All ways take turns in every repeat; medians are shown. `ms` is the time of one
iteration of one net. `peak` is the share of the machine's matrix product (1024 x 1024
x 1024, measured in the same turns) that the operations which cannot be saved amount
to. `ratio` is how many times as fast as torch.nn a way is. Close other programs.
"""

import argparse
import platform
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

import contenders

LANES, LOWEST, HIGHEST = 16, 32, 512
SIZES = 2, 4, 8, 16


def draw_widths(lanes: int) -> list[int]:
    """Draw the hidden units of so many nets, log-uniformly."""
    shares = torch.rand(lanes, generator=torch.Generator().manual_seed(0))
    return (LOWEST * (HIGHEST / LOWEST) ** shares).round().int().tolist()


def draw_examples(count: int) -> tuple[Tensor, Tensor]:
    """Draw random examples (count, 3072) in float32 and their labels (count,)."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(count, contenders.D, generator=generator)
    return X, torch.randint(contenders.C, (count,), generator=generator)


def one_after_another(
    way: Callable[[contenders.Problem], contenders.Contender],
    X: Tensor,
    y: Tensor,
    widths: Sequence[int],
) -> contenders.Contender:
    """Let nets train one after another, each all of its steps."""
    runners = [way(contenders.Problem(X, y, hidden)) for hidden in widths]
    return partial(_run_all, runners)


def in_packs(
    size: int, X: Tensor, y: Tensor, widths: Sequence[int]
) -> contenders.Contender:
    """Let packs of that size train one after another."""
    starts = range(0, len(widths), size)
    return partial(
        _run_all, [contenders.pack(X, y, widths[i : i + size]) for i in starts]
    )


def _run_all(runners: Sequence[contenders.Contender], count: int) -> None:
    for run in runners:
        run(count)


def gemm(matrix: Tensor, count: int) -> None:
    """Multiply a square matrix by itself so many times."""
    for _ in range(count):
        matrix @ matrix


def measure(
    X: Tensor, y: Tensor, iterations: int, repeats: int
) -> tuple[dict[str, float], float]:
    """Measure every way, in turns.

    Returns:
        Median seconds of an iteration of all nets in each way, and the peak in
        operations a second.
    """
    widths = draw_widths(LANES)
    alone = partial(contenders.solver, fast=True)
    runners = {
        "torch.nn, autograd": one_after_another(contenders.autograd, X, y, widths),
        "our Solver, alone": one_after_another(alone, X, y, widths),
    }
    for size in SIZES:
        runners[f"packs of {size}"] = in_packs(size, X, y, widths)
    runners["peak"] = partial(gemm, torch.randn(1024, 1024))
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for repeat in range(repeats + 1):
        for name, steps in runners.items():
            began = perf_counter()
            steps(iterations)
            if repeat:  # the first turn warms up
                seconds[name].append((perf_counter() - began) / iterations)
    medians = {name: median(times) for name, times in seconds.items()}
    return medians, 2 * 1024**3 / medians.pop("peak")


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--examples", type=int, default=40_000)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if given.iterations * contenders.N > given.examples:
        parser.error(f"--examples must be at least {contenders.N} x --iterations")
    widths = draw_widths(LANES)
    X, y = draw_examples(given.examples)
    print(f"torch {torch.__version__}, {platform.machine()}, {given.repeats} repeats")
    print(f"hidden units: {', '.join(map(str, widths))}")
    flops = sum(map(contenders.needed_flops, widths))
    for threads in given.threads:
        torch.set_num_threads(threads)
        seconds, peak = measure(X, y, given.iterations, given.repeats)
        print(f"\nmatrix product: {peak / 1e9:.0f} GFLOP/s")
        print(f"{'threads':>7}  {'way':20} {'ms':>8} {'peak':>6} {'ratio':>6}")
        for name, taken in seconds.items():
            ratio = seconds["torch.nn, autograd"] / taken
            print(
                f"{threads:7}  {name:20} {1e3 * taken / LANES:8.3f} "
                f"{flops / taken / peak:6.1%} {ratio:5.2f}x"
            )


if __name__ == "__main__":
    main()
