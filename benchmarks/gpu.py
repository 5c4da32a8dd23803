"""Check the fast path on a GPU against a CPU in float64, then time it.

    python benchmarks/gpu.py

Needs torch and a CUDA device, nothing else; ends with a message where there is none.
Minibatches of 100, 3,072 inputs, 10 classes, an L2 term; times are medians in float32.
At the end minibatches alone: gathered as they are, made of bytes, and mirrored, too.
"""

import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import torch

import contenders
from fcnet import Solver

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-2}
WAYS: dict[str, Callable[[contenders.Problem], contenders.Contender]] = {
    "course code": contenders.course,
    "torch.nn, autograd": contenders.autograd,
    "our layers": partial(contenders.solver, fast=False),
    "our fast path": partial(contenders.solver, fast=True),
}
GATHERS: dict[str, Callable[[contenders.Problem], contenders.Contender]] = {
    "float32": contenders.gather_inputs,
    "bytes": partial(contenders.gather_bytes, flip=False),
    "bytes, mirrored": partial(contenders.gather_bytes, flip=True),
}
HIDDEN = 50, 200, 1000, 4000
ITERATIONS, REPEATS = 50, 15


def losses(device: str, dtype: torch.dtype, fast: bool) -> list[float]:
    """Train three epochs with a ragged last minibatch and a decaying rate."""
    problem = contenders.draw_problem(200, device, dtype)
    X, y = problem.X[:2050], problem.y[:2050]
    run = Solver(
        problem.net(),
        {"X_train": X, "y_train": y, "X_val": X[:100], "y_val": y[:100]},
        optim_config={"learning_rate": 1e-2},
        lr_decay=0.9,
        num_epochs=3,
        verbose=False,
        device=device,
        fast=fast,
    )
    run.train(return_best_params=False)
    return run.loss_history


def check() -> bool:
    """Print how far loss curves differ; return whether all differences are small."""
    expected = losses("cpu", torch.float64, fast=False)
    right = True
    for dtype, tolerance in TOLERANCES.items():
        for fast in (False, True):
            found = losses("cuda", dtype, fast)
            pairs = zip(found, expected, strict=True)
            difference = max(abs(a - b) for a, b in pairs)
            right &= difference < tolerance
            print(f"{dtype}, fast={fast}: losses differ by {difference:.1e} at most")
    return right


def milliseconds(steps: contenders.Contender) -> float:
    """Measure the median time of one step, the device's work included."""
    times = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        began = perf_counter()
        steps(ITERATIONS)
        torch.cuda.synchronize()
        times.append(1e3 * (perf_counter() - began) / ITERATIONS)
    return median(times[2:])  # the first two warm up


def time_gathering() -> None:
    """Print how long it takes to gather a minibatch, whatever is done with it."""
    problem = contenders.draw_problem(1, "cuda", torch.float32)
    print(f"\n{'examples':22} {'ms':>8}")
    for name, way in GATHERS.items():
        print(f"{name:22} {milliseconds(way(problem)):8.4f}")


def main() -> int:
    """Check, then time; return 1 if a check failed or there is no GPU."""
    if not torch.cuda.is_available():
        print("no CUDA device: this benchmark needs one", file=sys.stderr)
        return 1
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    right = check()
    print(f"\n{'hidden':>6}  {'way':22} {'ms':>8} {'ratio':>7}")
    for hidden in HIDDEN:
        problem = contenders.draw_problem(hidden, "cuda", torch.float32)
        times = {name: milliseconds(way(problem)) for name, way in WAYS.items()}
        for name, taken in times.items():
            ratio = times["course code"] / taken
            print(f"{hidden:6}  {name:22} {taken:8.4f} {ratio:6.2f}x")
    time_gathering()
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
