"""How good the setting that a sweep found is: new seeds, and the test split once each.

    python -m sweep run experiments/wide.yaml
    python benchmarks/accuracy.py experiments/wide.yaml
    python benchmarks/accuracy.py experiments/wide.yaml --set data.root=my/images

Run it in the folder and with the overrides of the sweep, whose stores it reads. The
best of many trials owes part of its validation accuracy to luck. So the best trial's
setting is trained again with seeds that the study has not seen: other first weights,
other minibatches, the same images to train on and to validate. The validation split
picks the epoch; only then, and once for each seed, the test split is looked at, with
that epoch's weights. Nothing is chosen by it.

Prints a line for each seed, then a Markdown table of mean ± standard deviation (of a
sample, over n - 1). Writes nothing. Uses a GPU if there is one.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fcnet import DatasetError, Preprocess
from fcnet.datasets import load_dataset, prepare
from fcnet.image_data import Data
from sweep.config import load
from sweep.errors import DataError, StoreError, SweepError
from sweep.experiment import Experiment
from sweep.lane import make_solver
from sweep.paths import dataset_cache
from sweep.status import read_status
from sweep.trial import TrialRecord, TrialSpec


@dataclass(frozen=True)
class Images:
    """What a sweep trains on, and the images it never sees, on one device.

    Attributes:
        splits: X_train, X_val, X_test, of shape (N, D), uint8, and y_train, y_val,
            y_test, of shape (N,), int64.
        preprocess: Makes float32 inputs of them.
        classes: How many there are.
    """

    splits: Mapping[str, Tensor]
    preprocess: Preprocess
    classes: int


@dataclass(frozen=True)
class Accuracies:
    """What one seed reached; accuracies from 0 to 1.

    Attributes:
        validation: That of the best epoch.
        epoch: The best epoch by validation, from 1.
        test: That of the same epoch's weights.
    """

    validation: float
    epoch: int
    test: float


def best_trial(experiment: Experiment) -> TrialRecord:
    """Look up the best trial that completed.

    Raises:
        StoreError: A store cannot be read, or no trial has completed.
    """
    best = read_status(experiment)[0].best
    if best is None:
        raise StoreError(
            f"study.storage: found no complete trial of {experiment.name} in "
            f"{experiment.study.storage}; run its sweep first, or go to its folder"
        )
    return best


def load_images(experiment: Experiment, device: str) -> Images:
    """Load the splits, the first two as the sweep's workers are given them.

    Raises:
        DataError: The images cannot be read, or have no test split.
    """
    try:
        data = _prepare(experiment)
    except (DatasetError, OSError) as error:
        raise DataError(f"data: {error}") from error
    if data.X_test is None or data.y_test is None:
        raise DataError(f"data: found no test split in {experiment.data.root}")
    arrays: dict[str, NDArray[np.generic]] = {
        "X_train": data.X_train,
        "y_train": data.y_train,
        "X_val": data.X_val,
        "y_val": data.y_val,
        "X_test": data.X_test,
        "y_test": data.y_test,
    }
    splits = {name: torch.from_numpy(array) for name, array in arrays.items()}
    scale, shift = torch.from_numpy(data.scale), torch.from_numpy(data.shift)
    preprocess = Preprocess(scale, shift, data.image_shape, data.flip)
    return Images(
        {name: tensor.to(device) for name, tensor in splits.items()},
        preprocess.to(device, torch.float32),
        len(data.classes),
    )


def _prepare(experiment: Experiment) -> Data:
    """Hold out what the sweep holds out, and keep the test split, unlike the sweep."""
    data = experiment.data
    dataset = load_dataset(
        data.dataset,
        Path(data.root),
        cache_dir=dataset_cache(),
        image_size=data.image_size,
    )
    return prepare(
        dataset,
        validation=data.validation,
        seed=data.seed,
        normalize=data.normalize,
        flip=data.flip,
    )


def measure(best: TrialRecord, seed: int, images: Images) -> Accuracies:
    """Train a trial's setting with a seed; look at the test split once, at the end.

    Raises:
        Diverged: The loss is not finite.
    """
    spec = TrialSpec(best.number, 0, best.hparams, seed)
    splits = images.splits
    to_train_on = {k: v for k, v in splits.items() if not k.endswith("_test")}
    solver = make_solver(spec, to_train_on, images.preprocess, images.classes)
    solver.train(return_best_params=True)
    test = solver.check_accuracy(splits["X_test"], splits["y_test"])
    return Accuracies(solver.best_val_acc, solver.best_epoch, test)


def measure_all(
    best: TrialRecord, seeds: Sequence[int], images: Images
) -> list[Accuracies]:
    """Measure a trial's setting with each seed: side by side on a CPU's cores.

    Prints a line for each seed as it ends. No seed's draws depend on another's.

    Raises:
        Diverged: The loss of one is not finite.
    """

    def measure_one(seed: int) -> Accuracies:
        began = perf_counter()
        found = measure(best, seed, images)
        print(
            f"seed {seed}: validation {found.validation:.2%} at epoch {found.epoch}, "
            f"test {found.test:.2%}, {perf_counter() - began:.0f} s",
            flush=True,
        )
        return found

    # a GPU takes one at a time: none may start a kernel while another records a graph
    workers = len(seeds) if images.preprocess.scale.device.type == "cpu" else 1
    threads = max(1, torch.get_num_threads() // workers)
    with ThreadPoolExecutor(workers, "seed", torch.set_num_threads, (threads,)) as pool:
        return list(pool.map(measure_one, seeds))


def spread(accuracies: Sequence[float]) -> str:
    """Write mean ± standard deviation of a sample, in percent."""
    return f"{100 * mean(accuracies):.1f} ± {100 * stdev(accuracies):.1f} %"


def table(name: str, found: Sequence[Accuracies]) -> str:
    """Write a Markdown table of one row."""
    validation = spread([accuracies.validation for accuracies in found])
    test = spread([accuracies.test for accuracies in found])
    return (
        "| setting | validation accuracy | test accuracy | n |\n"
        "|---|---:|---:|---:|\n"
        f"| {name} | {validation} | {test} | {len(found)} |"
    )


def run(file: Path, overrides: Sequence[str], seeds: int) -> None:
    """Measure the best trial's setting with so many seeds, and print what was found.

    Raises:
        SweepError: The experiment, its stores or its images are not as they should be.
        Diverged: The loss of a run is not finite.
    """
    experiment = load(file, overrides)
    best = best_trial(experiment)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = load_images(experiment, device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    print(f"trial {best.number}: validation {best.value:.2%} at epoch {best.epoch}")
    print(", ".join(f"{key} {value}" for key, value in best.hparams.items()))
    first = experiment.study.seed + 1  # the study's own seed has had its luck
    found = measure_all(best, range(first, first + seeds), images)
    print(f"\n{table(f'{experiment.name}, trial {best.number}', found)}")


def main() -> None:
    """Read the arguments and measure; an error of the sweep ends it with a message."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="The experiment's YAML."
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="Override a setting, as in the sweep; repeatable.",
    )
    parser.add_argument("--seeds", type=int, default=3, help="at least 2")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("--seeds must be at least 2: one has no spread")
    try:
        run(given.file, given.set, given.seeds)
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
