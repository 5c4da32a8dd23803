"""One trial on a worker: its network and solver, its reports, its state on disk."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from torch import Tensor

from fcnet import FullyConnectedNet, Preprocess, Solver, make_schedule
from fcnet.solver_state import Numbers
from sweep.checkpoint import Checkpoint, CheckpointInfo, encode
from sweep.saved_trial import SavedTrial, load_trial, save_trial
from sweep.trial import Ending, EpochReport, HParams, TrialEnded, TrialSpec

MAX_LOSSES = 1000  # points of a trial's loss curve that are kept
_LAST = (Ending.COMPLETE, Ending.PRUNED, Ending.DIVERGED)  # no attempt follows


class Lane:
    """One trial in training.

    It goes on from where an earlier attempt has left its state, if one has.

    Attributes:
        spec: The trial.
        solver: Trains it; may do so together with others, in a pack.
    """

    def __init__(
        self,
        spec: TrialSpec,
        tensors: Mapping[str, Tensor],
        preprocess: Preprocess,
        classes: tuple[str, ...],
        save_every: float,
    ) -> None:
        """Stand before the first epoch, or before the next one.

        Args:
            spec: The trial.
            tensors: The splits, as a Solver takes them.
            preprocess: Makes inputs of them.
            classes: The class names.
            save_every: Seconds from one saved state to the next.
        """
        self.spec = spec
        self._preprocess, self._classes = preprocess, classes
        self._save_every = save_every
        self._began = self._saved = time.monotonic()
        self._reports: list[EpochReport] = []
        self._told = spec.known_epochs
        self.solver = make_solver(spec, tensors, preprocess, len(classes))
        iterations = self.solver.num_iterations
        self._loss_stride = math.ceil(iterations / MAX_LOSSES)
        self._resume()
        self.begin_epoch()

    @property
    def is_done(self) -> bool:
        """Whether all its epochs are trained."""
        return self.solver.epoch >= self.solver.num_epochs

    @property
    def is_save_due(self) -> bool:
        """Whether its state should be saved now."""
        return time.monotonic() - self._saved >= self._save_every

    def begin_epoch(self) -> None:
        """Note where the trial stands."""
        self._epoch_began = time.monotonic()
        self._first, self._rate = self.solver.iteration, self.solver.learning_rate

    def end_epoch(self) -> None:
        """Take down the epoch that was trained."""
        solver = self.solver
        losses = solver.loss_history[self._first :]
        self._reports.append(
            EpochReport(
                number=self.spec.number,
                attempt=self.spec.attempt,
                epoch=solver.epoch,
                train_loss=sum(losses) / len(losses),
                train_accuracy=solver.train_acc_history[-1],
                val_accuracy=solver.val_acc_history[-1],
                learning_rate=self._rate,
                losses=tuple(
                    (iteration, loss)
                    for iteration, loss in enumerate(losses, self._first + 1)
                    if iteration % self._loss_stride == 0
                ),
                seconds=time.monotonic() - self._epoch_began,
                device=self._preprocess.scale.device.type,
            )
        )

    def take_reports(self) -> list[EpochReport]:
        """The reports of epochs that nobody knows yet; each is handed out once."""
        news = [report for report in self._reports if report.epoch > self._told]
        if news:
            self._told = news[-1].epoch
        return news

    def save(self) -> None:
        """Keep the trial's state for another attempt.

        Raises:
            OSError: It cannot be written; what was saved before is untouched.
        """
        self._saved = time.monotonic()
        if self.spec.folder is None or not self._reports:
            return
        state = self.solver.state_dict()
        saved = SavedTrial(
            hparams=self.spec.hparams,
            seed=self.spec.seed,
            tensors=state["tensors"],
            numbers=state["numbers"],
            reports=tuple(self._reports),
            seconds=time.monotonic() - self._began,
        )
        save_trial(Path(self.spec.folder), saved)

    def end(self, ending: Ending, reason: str | None = None) -> TrialEnded:
        """Leave, with the best epoch's checkpoint unless another attempt follows."""
        solver = self.solver
        best = solver.best_epoch or None
        return TrialEnded(
            number=self.spec.number,
            attempt=self.spec.attempt,
            ending=ending,
            best_val_accuracy=solver.best_val_acc if best else None,
            best_epoch=best,
            seconds=time.monotonic() - self._began,
            checkpoint=self._checkpoint() if best and ending in _LAST else None,
            reason=reason,
        )

    def _resume(self) -> None:
        saved = load_trial(self.spec)
        if saved is None:
            return
        numbers = cast(Numbers, dict(saved.numbers))
        self.solver.load_state_dict(
            {"tensors": dict(saved.tensors), "numbers": numbers}
        )
        attempt = self.spec.attempt
        self._reports = [replace(report, attempt=attempt) for report in saved.reports]
        self._began -= saved.seconds

    def _checkpoint(self) -> bytes:
        info = CheckpointInfo(
            number=self.spec.number,
            epoch=self.solver.best_epoch,
            val_accuracy=self.solver.best_val_acc,
            hparams=dict(self.spec.hparams),
            seed=self.spec.seed,
            classes=self._classes,
            image_shape=self._preprocess.image_shape,
        )
        inputs = self._preprocess.scale, self._preprocess.shift
        return encode(Checkpoint(self.solver.best_params, *inputs, info))


def make_solver(
    spec: TrialSpec,
    tensors: Mapping[str, Tensor],
    preprocess: Preprocess,
    classes: int,
) -> Solver:
    """Make the solver of a trial's network.

    Args:
        spec: The trial.
        tensors: The splits, as a Solver takes them.
        preprocess: Makes inputs of them, on their device.
        classes: The number of classes.
    """
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


def epoch_cost(spec: TrialSpec) -> float:
    """What an epoch of a trial costs, nearly: it grows with the first layer's width.

    The other layers have far fewer inputs than an image has.
    """
    return float(hidden_dims(spec.hparams)[0])
