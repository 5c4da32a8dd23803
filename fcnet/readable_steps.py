"""Steps of any model by any update rule, as the mathematics has them."""

import math
from typing import Protocol

from torch import Tensor

from fcnet.accuracy import StochasticModel
from fcnet.errors import Diverged
from fcnet.minibatches import Minibatches
from fcnet.solver_state import TrainedRun


class Steps(Protocol):
    """A way to take the steps of an epoch; a run shows them when they are settled.

    Attributes:
        minibatches: What the steps are taken on; whose epoch has been started.
    """

    minibatches: Minibatches

    def begin(self, run: TrainedRun) -> None:
        """Stand before the next step of a run."""

    def step(self, run: TrainedRun, chosen: Tensor) -> None:
        """Take one step on the examples at those indices, int64."""

    def settle(self, run: TrainedRun) -> None:
        """Bring parameters, losses and iteration of the run to the last step taken.

        Raises:
            Diverged: A loss is not finite; the run stands before that step.
        """


class ReadableSteps:
    """The step of every model and rule: loss, gradients, update.

    Attributes:
        minibatches: What the steps are taken on.
    """

    def __init__(self, minibatches: Minibatches) -> None:
        """Take what the steps are taken on."""
        self.minibatches = minibatches

    def begin(self, run: TrainedRun) -> None:
        """Do nothing: a step finds all it needs in the run."""

    def step(self, run: TrainedRun, chosen: Tensor) -> None:
        """Take one step on the examples at those indices, and settle it.

        Raises:
            Diverged: The loss is not finite; nothing was updated.
        """
        if isinstance(run.model, StochasticModel):
            run.model.start_iteration(run.seed, run.epoch + 1, run.iteration + 1)
        # Copies, for a model may keep what it is given.
        x, y = (tensor.clone() for tensor in self.minibatches.gather(chosen))
        X = x.view(len(x), *self.minibatches.example_shape)
        loss, grads = run.model.loss(X, y)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(run.epoch + 1, run.iteration + 1, value)
        params = run.model.params
        for name, dw in grads.items():
            params[name], run.optim_configs[name] = run.update_rule(
                params[name], dw, run.optim_configs[name]
            )
        run.iteration += 1
        run.loss_history.append(value)

    def settle(self, run: TrainedRun) -> None:
        """Do nothing: every step is settled at once."""
