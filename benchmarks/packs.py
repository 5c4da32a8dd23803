"""Sixteen trials of CIFAR-10's size: Ray Tune with torch.nn, ours alone, ours in packs.

    python benchmarks/packs.py [--images FOLDER] [--epochs 2] [--repeats 1]

The same 16 two-layer nets, of 32 to 512 hidden units (log-uniform, seed fixed), train
for two epochs on 40,000 images of 3,072 values in minibatches of 100, on two cores:

- by Ray Tune as a careful user writes it: a class Trainable with torch.nn, autograd and
  torch.optim.SGD, images in the object store and whole in memory, reused actors, two
  trials at a time, OptunaSearch and the MLflow callback;
- by `sweep` with one trial at a time on each of two workers;
- by `sweep` with eight trials at a time on each of two workers.

All three begin with the same weights and see the same minibatches, so their accuracies
must agree but for rounding. Each runs in a process of its own: `whole` is from its
start to its end, `fit` leaves out imports, the start of Ray and loading the images.
`peak` is the share of the machine's matrix product that the operations which cannot be
saved amount to in that time. With `--images`, an image folder in torchvision's layout;
otherwise random images.

Needs the extra `benchmark`: pip install -c constraints.txt -e '.[benchmark]'.
"""

import argparse
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import contenders
from fcnet import Stream, TwoLayerNet, make_generator
from fcnet.datasets import Dataset, Split, load_dataset, prepare
from fcnet.image_data import Data

TRIALS, LOWEST, HIGHEST, BATCH = 16, 32, 512, 100
SIDES = ("Ray Tune", "alone", "packs")
POINTS = [
    {
        "hidden_dim": round(LOWEST * (HIGHEST / LOWEST) ** a),
        "learning_rate": 10 ** (-2.5 + b),
        "weight_scale": 10 ** (-3 + c),
        "reg": 10 ** (-6 + 3 * d),
    }
    for a, b, c, d in np.random.default_rng(0).random((TRIALS, 4))
]
YAML = """\
name: packs
data: {{dataset: digits}}
model:
  hidden_dim:   {{int: [32, 512], log: true}}
  weight_scale: {{float: [1e-3, 1e-2], log: true}}
  reg:          {{float: [1e-6, 1e-3], log: true}}
solver:
  learning_rate: {{float: [1e-3, 1e-1], log: true}}
  num_epochs: {epochs}
study:
  trials: {trials}
  pruner: none
  storage: sqlite:///{folder}/optuna.db
  folder: {folder}/sweeps
  enqueue: {points}
ray: {{trials_per_worker: {lanes}}}
mlflow: {{tracking_uri: "sqlite:///{folder}/mlflow.db"}}
"""


def load_images(folder: str | None) -> Data:
    """Load the images, or draw random ones, and hold a fifth of them out."""
    if folder is not None:
        cache = Path(tempfile.gettempdir()) / "sweep-benchmark"
        images = load_dataset("image_folder", Path(folder), cache_dir=cache)
    else:
        rng = np.random.default_rng(0)
        drawn = rng.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8)
        split = Split(drawn, rng.integers(0, 10, 50_000))
        images = Dataset("random", split, None, tuple(map(str, range(10))))
    return prepare(images, validation=0.2, seed=0)


def ours(data: Data, folder: Path, epochs: int, lanes: int) -> dict[str, Any]:
    """Run the sweep; return its seconds, and each trial's accuracy by its point."""
    from rich.console import Console

    from sweep import session
    from sweep.config import load
    from sweep.interrupt import Interrupt
    from sweep.launch import launched
    from sweep.tracking_process import TrackerProcess

    file = folder / "packs.yaml"
    settings = {"trials": TRIALS, "folder": folder, "points": json.dumps(POINTS)}
    file.write_text(YAML.format(epochs=epochs, lanes=lanes, **settings))
    experiment = load(file)
    console = Console(quiet=True)
    # the images are handed in, as Ray Tune gets them; all else is a user's sweep
    images = patch.object(session, "load_data", return_value=data)
    with images, TrackerProcess(experiment) as tracker, launched("local") as nodes:
        began = time.perf_counter()
        summary = session.run_sweep(
            experiment, nodes, tracker, console, Interrupt(print), lambda: None
        )
        seconds = time.perf_counter() - began
    values = {r.number: r.value for r in summary.ranking}
    return {"fit": seconds, "values": [values[n] for n in range(TRIALS)]}


class Autograd:
    """One trial by torch.nn, with the weights and minibatches of ours."""

    def __init__(self, config: dict[str, Any], data: Data) -> None:
        torch.set_num_threads(1)
        scale, shift = torch.tensor(data.scale), torch.tensor(data.shift)
        self.X, self.X_val = (
            (torch.tensor(X) * scale + shift).float()
            for X in (data.X_train, data.X_val)
        )
        self.y, self.y_val = torch.tensor(data.y_train), torch.tensor(data.y_val)
        self.start(config)

    def start(self, config: dict[str, Any]) -> None:
        """Begin another trial on the same data."""
        ours = TwoLayerNet(
            hidden_dim=config["hidden_dim"],
            weight_scale=config["weight_scale"],
            seed=0,
        )
        first, second = (
            torch.nn.Linear(3072, config["hidden_dim"]),
            torch.nn.Linear(1, 1),
        )
        second = torch.nn.Linear(config["hidden_dim"], 10)
        with torch.no_grad():
            for layer, number in ((first, 1), (second, 2)):
                layer.weight.copy_(ours.params[f"W{number}"].T)
                layer.bias.copy_(ours.params[f"b{number}"])
        self.net = torch.nn.Sequential(first, torch.nn.ReLU(), second)
        weights, biases = (
            [getattr(layer, kind) for layer in (first, second)]
            for kind in ("weight", "bias")
        )
        # torch's decay is half the square's factor: 2 reg w
        groups = [{"params": weights, "weight_decay": 2 * config["reg"]}]
        groups.append({"params": biases})
        self.optimizer = torch.optim.SGD(groups, lr=config["learning_rate"])
        self.epoch, self.best = 0, 0.0

    def train_epoch(self) -> float:
        """Train an epoch; return the best validation accuracy so far."""
        self.epoch += 1
        generator = make_generator(0, Stream.PERMUTATION, self.epoch)
        order = torch.randperm(len(self.X), generator=generator)
        for chosen in torch.split(order, BATCH):
            self.optimizer.zero_grad()
            loss = cross_entropy(self.net(self.X[chosen]), self.y[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        with torch.no_grad():
            right = (self.net(self.X_val).argmax(1) == self.y_val).float().mean()
        self.best = max(self.best, right.item())
        return self.best


def ray_tune(data: Data, folder: Path, epochs: int) -> dict[str, Any]:
    """Run Ray Tune; return its seconds, and each trial's accuracy by its point."""
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    class Trainable(tune.Trainable):
        def setup(self, config: dict[str, Any], data: Any = None) -> None:
            self.trial = Autograd(config, data)

        def step(self) -> dict[str, Any]:
            accuracy = self.trial.train_epoch()
            return {"accuracy": accuracy, "done": self.trial.epoch == epochs}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.trial.start(new_config)
            return True

    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    ray.init(address="local", num_cpus=2, logging_level=logging.ERROR, **options)
    space = {
        "hidden_dim": tune.lograndint(LOWEST, HIGHEST + 1),
        "learning_rate": tune.loguniform(1e-3, 1e-1),
        "weight_scale": tune.loguniform(1e-3, 1e-2),
        "reg": tune.loguniform(1e-6, 1e-3),
    }
    search = OptunaSearch(points_to_evaluate=[dict(point) for point in POINTS])
    callback = MLflowLoggerCallback(
        tracking_uri=f"sqlite:///{folder}/mlflow.db", experiment_name="tune"
    )
    tuner = tune.Tuner(
        tune.with_parameters(Trainable, data=data),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            num_samples=TRIALS,
            max_concurrent_trials=2,
            reuse_actors=True,
            search_alg=search,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[callback],
        ),
    )
    began = time.perf_counter()
    results: Any = tuner.fit()
    seconds = time.perf_counter() - began
    ray.shutdown()
    found = {r.config["hidden_dim"]: r.metrics["accuracy"] for r in results}
    return {"fit": seconds, "values": [found[p["hidden_dim"]] for p in POINTS]}


def run_side(side: str, images: str | None, epochs: int) -> None:
    """Run one side in this process; print what came of it as the last line."""
    warnings.filterwarnings("ignore")
    logging.getLogger("ray").setLevel(logging.ERROR)
    data = load_images(images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        if side == "Ray Tune":
            said = ray_tune(data, folder, epochs)
        else:
            said = ours(data, folder, epochs, 1 if side == "alone" else TRIALS // 2)
        os.chdir(folder.parent)
    print(json.dumps(said))


def call_side(side: str, images: str | None, epochs: int) -> dict[str, Any]:
    """Run one side in a process of its own; add its whole time."""
    command = [sys.executable, __file__, "--side", side, "--epochs", str(epochs)]
    command += ["--images", images] if images else []
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said | {"whole": time.perf_counter() - began}


def matrix_product() -> float:
    """Operations a second of the machine's matrix product, on two threads."""
    torch.set_num_threads(2)
    matrix = torch.randn(2048, 2048)
    times = []
    for _ in range(6):
        began = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - began)
    return 2 * 2048**3 / median(times)


def main() -> None:
    """Measure each side in turn, and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        run_side(given.side, given.images, given.epochs)
        return
    widths = [point["hidden_dim"] for point in POINTS]
    assert len(set(widths)) == TRIALS, "a width names its trial"
    iterations = given.epochs * math.ceil(40_000 / BATCH)
    flops = iterations * sum(map(contenders.needed_flops, widths))
    said: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    peaks = []
    for _ in range(given.repeats):
        for side in SIDES:
            peaks.append(matrix_product())
            said[side].append(call_side(side, given.images, given.epochs))
            print(side, {k: round(said[side][-1][k], 1) for k in ("fit", "whole")})
    peak = median(peaks)
    print(f"\nmatrix product: {peak / 1e9:.0f} GFLOP/s on two threads")
    print(
        f"{'side':10} {'fit s':>7} {'ratio':>6} {'peak':>6} {'whole s':>8} {'ratio':>6}"
    )
    medians = {
        side: {key: median(run[key] for run in runs) for key in ("fit", "whole")}
        for side, runs in said.items()
    }
    for side, taken in medians.items():
        ratios = {key: taken[key] / medians["Ray Tune"][key] for key in taken}
        print(
            f"{side:10} {taken['fit']:7.1f} {ratios['fit']:6.2f} "
            f"{flops / taken['fit'] / peak:6.1%} {taken['whole']:8.1f} "
            f"{ratios['whole']:6.2f}"
        )
    values = {side: np.array(runs[0]["values"]) for side, runs in said.items()}
    for side in ("Ray Tune", "alone"):
        gap = np.abs(values["packs"] - values[side]).max()
        print(
            f"largest difference in accuracy, packs and {side}: {100 * gap:.2f} points"
        )


if __name__ == "__main__":
    main()
