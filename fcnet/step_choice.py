"""Which way of taking steps a run takes: the fast one where it applies."""

from typing import Protocol

from torch import Tensor

from fcnet.fast_step import applies
from fcnet.fast_steps import FastSteps
from fcnet.minibatches import Minibatches
from fcnet.preprocess import Preprocess
from fcnet.readable_steps import ReadableSteps, Steps
from fcnet.solver_state import Run
from fcnet.update_rules import UpdateRule


class SettledRun(Run, Protocol):
    """What of a Solver decides how it takes its steps, as documented there."""

    data: dict[str, Tensor]
    preprocess: Preprocess | None
    update_rule: UpdateRule
    batch_size: int
    seed: int
    fast: bool


def choose_steps(run: SettledRun, last: Steps | None) -> Steps:
    """Choose how a run takes the steps of an epoch.

    Args:
        run: The run.
        last: What took the steps before; used again if it can be, and so are its
            minibatches.

    Returns:
        FastSteps if the run wants them and they apply, else ReadableSteps.
    """
    minibatches = _choose_minibatches(run, last)
    if not run.fast or not applies(run.model, run.update_rule, minibatches.x):
        return ReadableSteps(run.update_rule, run.seed, minibatches)
    if isinstance(last, FastSteps) and last.fits(run.model, minibatches):
        return last
    return FastSteps(run.model, minibatches)


def _choose_minibatches(run: SettledRun, last: Steps | None) -> Minibatches:
    """Take the minibatches of the last steps if they are the run's, else make some."""
    X, y = run.data["X_train"], run.data["y_train"]
    if last is not None and last.minibatches.fits(X, y, run.batch_size):
        return last.minibatches
    return Minibatches(X, y, run.batch_size, run.preprocess)
