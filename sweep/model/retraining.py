"""The best setting trained anew: on all but the test split, with several seeds."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

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
from sweep.runs import KIND, RETRAINED
from sweep.trial import TrialSpec

OnEpoch = Callable[[int, int], None]
_KIND = "retraining"  # what such a run is tagged as


@dataclass(frozen=True)
class Trained:
    """One network of the best setting, trained anew.

    Attributes:
        trial: The number of the trial whose setting it is.
        seed: Of its draws, not the study's.
        epochs: Epochs that it was trained.
        images: Number of images that it was trained on.
        accuracy: Share of right answers on the test split.
        time_ms: When it was done, in milliseconds since 1970.
    """

    trial: int
    seed: int
    epochs: int
    images: int
    accuracy: float
    time_ms: int


@dataclass(frozen=True)
class Retraining:
    """What the best setting reaches on the test split, trained anew.

    Attributes:
        networks: One for each seed, in the order of the seeds; at least one.
    """

    networks: tuple[Trained, ...]

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Share of right answers on the test split, for each seed."""
        return tuple(network.accuracy for network in self.networks)

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
    """Train the best setting with new seeds, but for those that were done before.

    All draws come from the seeds, so another time would give the same networks. Each is
    recorded as soon as it is trained.

    Args:
        experiment: Whose best trial it is.
        best: The trial.
        seeds: How many, at least 1: those after the study's own.
        on_epoch: Called after each epoch with the seed and the epoch, from 1.

    Returns:
        What they reach, and whether any of it is new.

    Raises:
        DataError: The images are missing, or there is no test split.
        SweepFailed: A network diverged; those before it are recorded.
        StoreError: MLflow cannot be read or written.
    """
    records, first = Records(experiment), experiment.study.seed + 1
    done, chosen = _recorded(records, best), range(first, first + seeds)
    missing = [seed for seed in chosen if seed not in done]
    if missing:
        data, epochs = load_whole(experiment), epochs_of(experiment, best)
        for seed in missing:
            done[seed] = _train(data, best, seed, epochs, on_epoch)
            _write(records, best, done[seed])
    return Retraining(tuple(done[seed] for seed in chosen)), bool(missing)


def _recorded(records: Records, best: Best) -> dict[int, Trained]:
    """What MLflow has, by seed."""
    tags = {KIND: _KIND, RETRAINED: str(best.trial.number)}
    contents = (records.read(run, RETRAINING) for run in records.nested(best, tags))
    return {content["seed"]: Trained(**content) for content in contents}


def _write(records: Records, best: Best, done: Trained) -> None:
    record = Record(
        RETRAINING,
        asdict(done),
        metrics=(("test_accuracy", done.epochs, done.accuracy),),
        tags={KIND: _KIND, RETRAINED: str(done.trial)},
        params={
            **best.trial.hparams,
            "seed": done.seed,
            "epochs": done.epochs,
            "images": done.images,
        },
    )
    records.write_nested(best, f"retraining-{done.trial:04d}-{done.seed}", record)


def _train(
    data: Data, best: Best, seed: int, epochs: int, on_epoch: OnEpoch
) -> Trained:
    """Train one network."""
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
            f"trial {best.trial.number} trained anew with seed {seed}: {error}; what "
            "was trained before is recorded"
        ) from error
    return Trained(
        trial=best.trial.number,
        seed=seed,
        epochs=epochs,
        images=len(data.y_train),
        accuracy=solver.check_accuracy(X_test, y_test),
        time_ms=int(time.time() * 1000),
    )


def _preprocess(data: Data, device: str) -> Preprocess:
    scale, shift = torch.from_numpy(data.scale), torch.from_numpy(data.shift)
    preprocess = Preprocess(scale, shift, data.image_shape, data.flip)
    return preprocess.to(device, torch.float32)
