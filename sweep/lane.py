"""One trial on a worker: its network and solver, its reports, its best checkpoint."""

import math
import time
from collections.abc import Mapping

from torch import Tensor

from fcnet import FullyConnectedNet, Preprocess, Solver, make_schedule
from sweep.checkpoint import Checkpoint, CheckpointInfo, encode
from sweep.trial import Ending, EpochReport, HParams, TrialEnded, TrialSpec

MAX_LOSSES = 1000  # points of a trial's loss curve that are kept


class Lane:
    """One trial in training, and the best of its epochs so far.

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
    ) -> None:
        """Stand before the first epoch.

        Args:
            spec: The trial.
            tensors: The splits, as a Solver takes them.
            preprocess: Makes inputs of them.
            classes: The class names.
        """
        self.spec = spec
        self._preprocess, self._classes = preprocess, classes
        self._began = time.monotonic()
        self._best: CheckpointInfo | None = None
        self._best_params: Mapping[str, Tensor] = {}
        self.solver = make_solver(spec, tensors, preprocess, len(classes))
        iterations = self.solver.num_iterations
        self._loss_stride = math.ceil(iterations / MAX_LOSSES)
        self.begin_epoch()

    @property
    def is_done(self) -> bool:
        """Whether all its epochs are trained."""
        return self.solver.epoch >= self.solver.num_epochs

    def begin_epoch(self) -> None:
        """Note where the trial stands."""
        self._epoch_began = time.monotonic()
        self._first, self._rate = self.solver.iteration, self.solver.learning_rate

    def end_epoch(self) -> EpochReport:
        """Report the epoch that was trained; keep its weights if they are the best."""
        solver = self.solver
        losses = solver.loss_history[self._first :]
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
            learning_rate=self._rate,
            losses=tuple(
                (iteration, loss)
                for iteration, loss in enumerate(losses, self._first + 1)
                if iteration % self._loss_stride == 0
            ),
            seconds=time.monotonic() - self._epoch_began,
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
            epoch=self.solver.epoch,
            val_accuracy=val_accuracy,
            hparams=dict(self.spec.hparams),
            seed=self.spec.seed,
            classes=self._classes,
            image_shape=self._preprocess.image_shape,
        )


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
