"""One worker's work: the trials it was handed, an epoch at a time.

The only file that knows fcnet. Knows nothing of Ray: it is called in a worker's process
or, in tests, in the driver's own.
"""

import math
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fcnet import Diverged, FullyConnectedNet, Preprocess, Solver, make_schedule
from fcnet.datasets import find_dataset, load_dataset, prepare
from fcnet.errors import DatasetError
from fcnet.image_data import Data
from sweep.checkpoint import Checkpoint, CheckpointInfo, encode
from sweep.errors import DataError
from sweep.experiment import Experiment
from sweep.paths import dataset_cache
from sweep.trial import Ending, EpochReport, HParams, Message, TrialEnded, TrialSpec

Step = Callable[[TrialSpec], list[Message]]

MAX_LOSSES = 1000  # points of a trial's loss curve that are kept


def load_data(experiment: Experiment) -> Data:
    """Load, hold out and measure the experiment's images; downloads what is missing.

    Returns:
        The training and the validation split; the test split stays where it is.

    Raises:
        DataError: if they are missing and cannot be fetched, or cannot be read.
    """
    data = experiment.data
    try:
        dataset = load_dataset(
            data.dataset,
            Path(data.root),
            cache_dir=dataset_cache(),
            image_size=data.image_size,
        )
        prepared = prepare(
            dataset,
            validation=data.validation,
            seed=data.seed,
            normalize=data.normalize,
            flip=data.flip,
        )
    except (DatasetError, OSError) as error:
        raise DataError(f"data: {error}") from error
    return replace(prepared, X_test=None, y_test=None)


def find_data(experiment: Experiment) -> tuple[bool, str]:
    """Whether the experiment's images are there, and a sentence on what was found."""
    return find_dataset(experiment.data.dataset, Path(experiment.data.root))


def local_gpus() -> int:
    """GPUs of this machine that torch can use."""
    return torch.cuda.device_count()


class Objective:
    """The lanes of one worker, one trial each, on one device."""

    def __init__(self, data: Data, device: str, threads: int) -> None:
        """Bring the data to the device.

        Args:
            data: The splits; arrays that other processes share are fine. Images stay
                uint8 there too: minibatches alone become inputs.
            device: A torch device: `cpu`, or `cuda` for the GPU this worker was given.
            threads: CPU threads to compute with.
        """
        torch.set_num_threads(threads)
        self._classes = data.classes
        self._tensors = {
            "X_train": _tensor(data.X_train, device),
            "y_train": _tensor(data.y_train, device),
            "X_val": _tensor(data.X_val, device),
            "y_val": _tensor(data.y_val, device),
        }
        scale, shift = _tensor(data.scale, "cpu"), _tensor(data.shift, "cpu")
        preprocess = Preprocess(scale, shift, data.image_shape, data.flip)
        # once for all trials, whose networks are float32
        self._preprocess = preprocess.to(device, torch.float32)
        self._lanes: dict[int, _Lane] = {}

    def advance(
        self, start: Sequence[TrialSpec], stop: Mapping[int, Ending]
    ) -> list[Message]:
        """Begin trials, end others, and train every lane for one epoch.

        Args:
            start: Trials to begin.
            stop: Trials to end before the epoch, and why; may be among those to begin.

        Returns:
            A TrialEnded for each trial that left, an EpochReport for each that trained.
        """
        messages: list[Message] = []
        for spec in start:
            messages += self._guarded(spec, self._begin)
        for number in stop.keys() & self._lanes.keys():
            messages.append(self._lanes.pop(number).end(stop[number]))
        for lane in list(self._lanes.values()):
            messages += self._guarded(lane.spec, self._train)
        return messages

    def _begin(self, spec: TrialSpec) -> list[Message]:
        self._lanes[spec.number] = _Lane(
            spec, self._tensors, self._preprocess, self._classes
        )
        return []

    def _train(self, spec: TrialSpec) -> list[Message]:
        lane = self._lanes[spec.number]
        report = lane.train_epoch()
        if not lane.is_done:
            return [report]
        del self._lanes[spec.number]
        return [report, lane.end(Ending.COMPLETE)]

    def _guarded(self, spec: TrialSpec, step: Step) -> list[Message]:
        """Take a step; what goes wrong in it ends this trial and no other."""
        try:
            return step(spec)
        except Diverged as error:
            return [self._lanes.pop(spec.number).end(Ending.DIVERGED, str(error))]
        except Exception:  # noqa: BLE001 - whatever it is, the companions go on
            self._lanes.pop(spec.number, None)
            reason = traceback.format_exc()
            return [TrialEnded(spec.number, spec.attempt, Ending.FAILED, reason=reason)]


class _Lane:
    """One trial in training: its solver, and the best of its epochs so far."""

    def __init__(
        self,
        spec: TrialSpec,
        tensors: Mapping[str, Tensor],
        preprocess: Preprocess,
        classes: tuple[str, ...],
    ) -> None:
        self.spec = spec
        self._preprocess, self._classes = preprocess, classes
        self._began = time.monotonic()
        self._best: CheckpointInfo | None = None
        self._best_params: Mapping[str, Tensor] = {}
        self._solver = _make_solver(spec, tensors, preprocess, len(classes))
        iterations = self._solver.num_iterations
        self._loss_stride = math.ceil(iterations / MAX_LOSSES)

    @property
    def is_done(self) -> bool:
        """Whether all its epochs are trained."""
        return self._solver.epoch >= self._solver.num_epochs

    def train_epoch(self) -> EpochReport:
        """Train one epoch, and keep its weights if they are the best so far.

        Raises:
            Diverged: if a loss is not finite.
        """
        began, solver = time.monotonic(), self._solver
        first, learning_rate = solver.iteration, solver.learning_rate
        solver.train_epoch()
        losses = solver.loss_history[first:]
        accuracy = solver.val_acc_history[-1]
        if self._best is None or accuracy > self._best.val_accuracy:
            self._best = self._info(accuracy)
            self._best_params = {k: v.clone() for k, v in solver.model.params.items()}
        return EpochReport(
            number=self.spec.number,
            attempt=self.spec.attempt,
            epoch=solver.epoch,
            train_loss=sum(losses) / len(losses),
            train_accuracy=solver.train_acc_history[-1],
            val_accuracy=accuracy,
            learning_rate=learning_rate,
            losses=tuple(
                (iteration, loss)
                for iteration, loss in enumerate(losses, first + 1)
                if iteration % self._loss_stride == 0
            ),
            seconds=time.monotonic() - began,
        )

    def end(self, ending: Ending, reason: str | None = None) -> TrialEnded:
        """Leave, with the best epoch's checkpoint."""
        best, checkpoint = self._best, None
        if best is not None:
            inputs = self._preprocess.scale, self._preprocess.shift
            checkpoint = encode(Checkpoint(self._best_params, *inputs, best))
        return TrialEnded(
            number=self.spec.number,
            attempt=self.spec.attempt,
            ending=ending,
            best_val_accuracy=best.val_accuracy if best else None,
            best_epoch=best.epoch if best else None,
            seconds=time.monotonic() - self._began,
            checkpoint=checkpoint,
            reason=reason,
        )

    def _info(self, val_accuracy: float) -> CheckpointInfo:
        return CheckpointInfo(
            number=self.spec.number,
            epoch=self._solver.epoch,
            val_accuracy=val_accuracy,
            hparams=dict(self.spec.hparams),
            seed=self.spec.seed,
            classes=self._classes,
            image_shape=self._preprocess.image_shape,
        )


def _make_solver(
    spec: TrialSpec,
    tensors: Mapping[str, Tensor],
    preprocess: Preprocess,
    classes: int,
) -> Solver:
    hparams, device = spec.hparams, preprocess.scale.device
    network = FullyConnectedNet(
        hidden_dims(hparams),
        input_dim=math.prod(preprocess.image_shape),
        num_classes=classes,
        dropout=float(hparams["dropout"]),
        weight_scale=float(hparams["weight_scale"]),
        reg=float(hparams["reg"]),
        device=device,
        seed=spec.seed,
    )
    optim = ("learning_rate", "momentum", "decay_rate", "beta1", "beta2")
    return Solver(
        network,
        tensors,
        update_rule=str(hparams["update_rule"]),
        optim_config={key: float(hparams[key]) for key in optim if key in hparams},
        schedule=make_schedule(
            str(hparams["schedule"]),
            lr_decay=float(hparams.get("lr_decay", 1.0)),
            step_every=int(hparams.get("step_every", 1)),
            step_factor=float(hparams.get("step_factor", 1.0)),
            warmup_epochs=int(hparams["warmup_epochs"]),
        ),
        batch_size=int(hparams["batch_size"]),
        num_epochs=int(hparams["num_epochs"]),
        verbose=False,
        device=device,
        seed=spec.seed,
        preprocess=preprocess,
    )


def hidden_dims(hparams: HParams) -> list[int]:
    """The widths of a trial's hidden layers."""
    if "hidden_dim" in hparams:
        return [int(hparams["hidden_dim"])]
    layers = int(hparams["layers"])
    return [int(hparams[f"width_{layer}"]) for layer in range(1, layers + 1)]


def _tensor(array: NDArray[np.generic], device: str) -> Tensor:
    with warnings.catch_warnings():
        # workers of one machine share the array, so it is read-only; torch warns that
        # writing to it would be undefined, and nobody writes to it
        warnings.filterwarnings(
            "ignore", message="The given NumPy array is not writable"
        )
        return torch.from_numpy(array).to(device)
