"""Check the fast path on a GPU against a CPU in float64; time it, alone and packed.

    python benchmarks/gpu.py

Needs a torch from 2.11 on, and nothing installed. Where there
is no CUDA device it checks the CPU's fast path, says so and ends.

Minibatches of 100, 3,072 inputs, 10 classes, float32, an L2 term. All ways take turns;
tables are Markdown, with medians over n turns and in brackets the middle half of them.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

import contenders
from fcnet import UPDATE_RULES, FullyConnectedNet, Pack, Solver
from pack_sizes import draw_widths, in_packs, one_after_another
from solver import spread

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-2}
RATES = {"sgd": 0.1, "sgd_momentum": 0.02, "rmsprop": 1e-3, "adam": 1e-3}
COURSE = "course code"
WAYS: dict[str, Callable[[contenders.Problem], contenders.Contender]] = {
    COURSE: contenders.course,
    "torch.nn, autograd": contenders.autograd,
    "our layers": partial(contenders.solver, fast=False),
    "our fast path, no graph": contenders.fast_without_graph,
    "our fast path, graph": partial(contenders.solver, fast=True),
}
GATHERS: dict[str, Callable[[contenders.Problem], contenders.Contender]] = {
    "float32": contenders.gather_inputs,
    "bytes": partial(contenders.gather_bytes, flip=False),
    "bytes, mirrored": partial(contenders.gather_bytes, flip=True),
}
HIDDEN, TRIALS, PACKS = (50, 200, 1000, 4000), 64, (8, 16, 64)
ITERATIONS, TURNS, WARM_UP = 50, 15, 2


def make_runs(device: str, dtype: torch.dtype, rule: str, fast: bool) -> list[Solver]:
    """Make runs with ragged minibatches, decaying rates, L2 terms and dropout."""
    problem = contenders.draw_problem(1, device, dtype)
    X, y = problem.X[:1050], problem.y[:1050]
    data = {"X_train": X, "y_train": y, "X_val": X[:100], "y_val": y[:100]}
    return [
        Solver(
            FullyConnectedNet(
                [hidden],
                contenders.D,
                contenders.C,
                dropout,
                reg,
                1e-2,
                0,
                dtype,
                device,
            ),
            data,
            update_rule=rule,
            optim_config={"learning_rate": RATES[rule]},
            lr_decay=0.9,
            num_epochs=3,
            verbose=False,
            device=device,
            fast=fast,
        )
        for hidden, dropout, reg in ((100, 0.0, 1e-3), (32, 0.4, 0.0), (75, 0.0, 0.0))
    ]


def losses(runs: list[Solver], packed: bool) -> list[float]:
    """Train the runs, together or one after another; return all of their losses."""
    pack = Pack()
    for _ in range(3):
        if packed:
            assert pack.train_epoch(runs) == [None] * len(runs)
        else:
            for run in runs:
                run.train_epoch()
    return [loss for run in runs for loss in run.loss_history]


def check(device: str) -> bool:
    """Print how far losses differ from the readable ones; return whether they agree."""
    right = True
    print(
        f"\nlosses on {device}, three epochs, against the layers on a CPU in float64:"
    )
    for rule in UPDATE_RULES:
        expected = losses(make_runs("cpu", torch.float64, rule, False), False)
        for dtype, tolerance in TOLERANCES.items():
            for way in ("alone", "packed"):
                runs = make_runs(device, dtype, rule, True)
                found = losses(runs, way == "packed")
                pairs = zip(found, expected, strict=True)
                difference = max(abs(a - b) for a, b in pairs)
                right &= difference < tolerance
                print(f"{rule}, {dtype}, {way}: {difference:.1e} at most")
    print("all agree" if right else "NOT ALL AGREE")
    return right


def measure(runners: Mapping[str, contenders.Contender]) -> dict[str, list[float]]:
    """Measure ways in turns: milliseconds of one step, the device's work included."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(WARM_UP + TURNS):
        for name, steps in runners.items():
            torch.cuda.synchronize()
            began = perf_counter()
            steps(ITERATIONS)
            torch.cuda.synchronize()
            if turn >= WARM_UP:
                times[name].append(1e3 * (perf_counter() - began) / ITERATIONS)
    return times


def print_table(
    title: str, times: Mapping[str, list[float]], first: str, digits: int = 3
) -> None:
    """Print the milliseconds of each way, and how many times as fast as one it is."""
    print(f"\n| {title} | n | ms | times as fast as {first} |\n|---|---:|---:|---:|")
    for name, taken in times.items():
        ratios = [a / b for a, b in zip(times[first], taken, strict=True)]
        n, ms, ratio = len(taken), spread(taken, digits), spread(ratios, 1)
        print(f"| {name} | {n} | {ms} | {ratio} |")


def time_packs() -> None:
    """Print how long an iteration of many trials takes, one by one and in packs."""
    problem, widths = (
        contenders.draw_problem(1, "cuda", torch.float32),
        draw_widths(TRIALS),
    )
    X, y = problem.X, problem.y
    alone = "one after another"
    runners = {
        f"{alone}, torch.nn": one_after_another(contenders.autograd, X, y, widths),
        alone: one_after_another(partial(contenders.solver, fast=True), X, y, widths),
    }
    for size in PACKS:
        runners[f"packs of {size}"] = in_packs(size, X, y, widths)
    title = f"{TRIALS} trials of {min(widths)} to {max(widths)} hidden units"
    print_table(title, measure(runners), alone)


def main() -> int:
    """Check, then time; return 1 if a check failed."""
    print(f"torch {torch.__version__}, Python {sys.version.split()[0]}")
    # The nets that are checked are small: more threads would only wait for each other.
    torch.set_num_threads(1)
    if not torch.cuda.is_available():
        right = check("cpu")
        print("no CUDA device: the CPU was checked, and there is nothing to time")
        return 0 if right else 1
    print(torch.cuda.get_device_name())
    right = check("cuda")
    for hidden in HIDDEN:
        problem = contenders.draw_problem(hidden, "cuda", torch.float32)
        times = measure({name: way(problem) for name, way in WAYS.items()})
        print_table(f"{hidden} hidden units", times, COURSE)
    time_packs()
    problem = contenders.draw_problem(1, "cuda", torch.float32)
    gathers = {name: way(problem) for name, way in GATHERS.items()}
    print_table("gathering a minibatch", measure(gathers), "float32", 4)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
