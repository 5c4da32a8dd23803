"""The best setting trained anew: on all but the test split, with several seeds."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from fcnet import Diverged, Preprocess
from fcnet.image_data import Data
from sweep.data import load_whole
from sweep.errors import SweepFailed
from sweep.experiment import Experiment
from sweep.lane import make_solver
from sweep.model.best import Best
from sweep.model.records import Record, Records
from sweep.objective import local_gpus
from sweep.paths import RETRAINING
from sweep.runs import KIND, RETRAINED, SEEDS
from sweep.trial import TrialSpec

OnEpoch = Callable[[int, int], None]


@dataclass(frozen=True)
class Retraining:
    """What the best setting reaches on the test split, trained anew.

    Attributes:
        trial: The number of the trial whose setting it is.
        epochs: Epochs that each network was trained.
        images: Number of images that it was trained on.
        seeds: Of the networks' draws, none of them the study's.
        accuracies: Share of right answers on the test split, for each seed.
        time_ms: When it was done, in milliseconds since 1970.
    """

    trial: int
    epochs: int
    images: int
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    time_ms: int

    @property
    def mean(self) -> float:
        """The mean of the accuracies."""
        return statistics.mean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """Their standard deviation (over n - 1); None for a single one."""
        one = len(self.accuracies) < 2
        return None if one else statistics.stdev(self.accuracies)


def epochs_of(experiment: Experiment, best: Best) -> int:
    """How many epochs the best setting is trained again.

    The study's value is what the weights reached after the best epoch, so that epoch is
    part of what was found: going on is another setting, and without a validation split
    nothing would stop a net that overfits. The schedule is still that of all epochs.
    """
    last = int(best.trial.hparams["num_epochs"])
    is_last = experiment.study.value == "last_val_accuracy"
    return last if is_last else best.trial.epoch or last


def retrain(
    experiment: Experiment, best: Best, seeds: int, on_epoch: OnEpoch
) -> tuple[Retraining, bool]:
    """Train the best setting with new seeds, unless that was done before.

    All draws come from the seeds, so another time would give the same networks.

    Args:
        experiment: Whose best trial it is.
        best: The trial.
        seeds: How many, at least 1: those after the study's own.
        on_epoch: Called after each epoch with the seed and the epoch, from 1.

    Returns:
        What they reach, and whether it is new.

    Raises:
        DataError: The images are missing, or there is no test split.
        SweepFailed: A network diverged.
        StoreError: MLflow cannot be read or written.
    """
    records, number = Records(experiment), best.trial.number
    tags = {KIND: "retraining", RETRAINED: str(number), SEEDS: str(seeds)}
    run = records.find_nested(best, tags)
    content = None if run is None else records.read(run, RETRAINING)
    if content is not None:
        return _from_json(content), False
    data, first = load_whole(experiment), experiment.study.seed + 1
    chosen, epochs = tuple(range(first, first + seeds)), epochs_of(experiment, best)
    done = Retraining(
        trial=number,
        epochs=epochs,
        images=len(data.y_train),
        seeds=chosen,
        accuracies=tuple(_train(data, best, seed, epochs, on_epoch) for seed in chosen),
        time_ms=int(time.time() * 1000),
    )
    record = Record(RETRAINING, asdict(done), _metrics(done), tags, _params(done, best))
    records.write_nested(best, f"retraining-{number:04d}", record)
    return done, True


def _train(data: Data, best: Best, seed: int, epochs: int, on_epoch: OnEpoch) -> float:
    """Train one network; returns its accuracy on the test split."""
    device = "cuda" if local_gpus() else "cpu"
    X, y, X_test, y_test = (
        torch.from_numpy(array).to(device)
        for array in (data.X_train, data.y_train, data.X_test, data.y_test)
    )
    # a solver looks at a validation split; here there is none to decide by
    tensors = {"X_train": X, "y_train": y, "X_val": X[:1], "y_val": y[:1]}
    spec = TrialSpec(best.trial.number, 0, best.trial.hparams, seed)
    solver = make_solver(spec, tensors, _preprocess(data, device), len(data.classes))
    try:
        for epoch in range(1, epochs + 1):
            solver.train_epoch()
            on_epoch(seed, epoch)
    except Diverged as error:
        raise SweepFailed(
            f"trial {best.trial.number} trained anew with seed {seed}: {error}"
        ) from error
    return solver.check_accuracy(X_test, y_test)


def _preprocess(data: Data, device: str) -> Preprocess:
    scale, shift = torch.from_numpy(data.scale), torch.from_numpy(data.shift)
    preprocess = Preprocess(scale, shift, data.image_shape, data.flip)
    return preprocess.to(device, torch.float32)


def _metrics(done: Retraining) -> tuple[tuple[str, int, float], ...]:
    each = zip(done.seeds, done.accuracies, strict=True)
    points = [("test_accuracy", seed, accuracy) for seed, accuracy in each]
    points.append(("test_accuracy_mean", 0, done.mean))
    if done.deviation is not None:
        points.append(("test_accuracy_std", 0, done.deviation))
    return tuple(points)


def _params(done: Retraining, best: Best) -> Mapping[str, Any]:
    return {**best.trial.hparams, "epochs": done.epochs, "images": done.images}


def _from_json(content: Mapping[str, Any]) -> Retraining:
    lists = {key: tuple(content[key]) for key in ("seeds", "accuracies")}
    return Retraining(**{**content, **lists})
