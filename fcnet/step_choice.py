"""Which way of taking steps a run takes: the fast one where it applies.

Letters: M examples in all.
"""

from typing import Protocol

from torch import Tensor

from fcnet.fast_step import applies
from fcnet.fast_steps import FastSteps
from fcnet.readable_steps import ReadableSteps, Steps
from fcnet.solver_state import Run
from fcnet.update_rules import UpdateRule


class SettledRun(Run, Protocol):
    """What of a Solver decides how it takes its steps, as documented there."""

    update_rule: UpdateRule
    batch_size: int
    seed: int
    fast: bool


def choose_steps(run: SettledRun, last: Steps | None, X: Tensor) -> Steps:
    """Choose how a run takes the steps of an epoch.

    Args:
        run: The run.
        last: What took the steps before; used again if it can be.
        X: The examples, of shape (M, d_1, ..., d_k).

    Returns:
        FastSteps if the run wants them and they apply, else ReadableSteps.
    """
    if not run.fast or not applies(run.model, run.update_rule, X):
        return ReadableSteps(run.update_rule, run.seed)
    # No room for more than there is: a huge batch size means all examples.
    batch_size = min(run.batch_size, len(X))
    if isinstance(last, FastSteps) and last.fits(run.model, batch_size):
        return last
    return FastSteps(run.model, batch_size)
