"""Steps of any model by any update rule, as the mathematics has them.

Letters: N examples.
"""

import math
from typing import Protocol

from torch import Tensor

from fcnet.accuracy import StochasticModel
from fcnet.errors import Diverged
from fcnet.solver_state import Run
from fcnet.update_rules import UpdateRule


class Steps(Protocol):
    """A way to take the steps of an epoch; a Run shows them when they are settled."""

    def begin(self, run: Run, X: Tensor, y: Tensor) -> None:
        """Stand before the next step of a run on examples X (N, ...), y (N,)."""

    def step(self, run: Run, chosen: Tensor) -> None:
        """Take one step on the examples at those indices, int64."""

    def settle(self, run: Run) -> None:
        """Bring parameters, losses and iteration of the run to the last step taken.

        Raises:
            Diverged: A loss is not finite; the run stands before that step.
        """


class ReadableSteps:
    """The step of every model and rule: loss, gradients, update."""

    def __init__(self, update_rule: UpdateRule, seed: int) -> None:
        """Take the rule, and the seed of what a StochasticModel draws."""
        self._update_rule = update_rule
        self._seed = seed

    def begin(self, run: Run, X: Tensor, y: Tensor) -> None:
        """Take the examples X (N, ...), y (N,)."""
        self._X, self._y = X, y

    def step(self, run: Run, chosen: Tensor) -> None:
        """Take one step on the examples at those indices, and settle it.

        Raises:
            Diverged: The loss is not finite; nothing was updated.
        """
        if isinstance(run.model, StochasticModel):
            run.model.start_iteration(self._seed, run.epoch + 1, run.iteration + 1)
        X, y = (tensor.index_select(0, chosen) for tensor in (self._X, self._y))
        loss, grads = run.model.loss(X, y)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(run.epoch + 1, run.iteration + 1, value)
        params = run.model.params
        for name, dw in grads.items():
            params[name], run.optim_configs[name] = self._update_rule(
                params[name], dw, run.optim_configs[name]
            )
        run.iteration += 1
        run.loss_history.append(value)

    def settle(self, run: Run) -> None:
        """Do nothing: every step is settled at once."""
