"""Which way of taking steps a run takes: the fast one where it applies."""

from fcnet.lockstep_shape import find_lane
from fcnet.lockstep_steps import LockstepSteps
from fcnet.minibatches import Minibatches
from fcnet.readable_steps import ReadableSteps, Steps
from fcnet.solver_state import TrainedRun


def choose_steps(run: TrainedRun, last: Steps | None) -> Steps:
    """Choose how a run takes the steps of an epoch.

    Args:
        run: The run.
        last: What took the steps before; used again if it can be, and so are its
            minibatches.

    Returns:
        LockstepSteps if the run can train in lockstep, else ReadableSteps.
    """
    minibatches, lane = _choose_minibatches(run, last), find_lane(run)
    if lane is None:
        return ReadableSteps(minibatches)
    if isinstance(last, LockstepSteps) and last.fits(lane, minibatches):
        return last
    return LockstepSteps(lane, minibatches)


def make_minibatches(run: TrainedRun) -> Minibatches:
    """Make room for minibatches as a run takes them."""
    X, y = run.data["X_train"], run.data["y_train"]
    return Minibatches(X, y, run.batch_size, run.preprocess)


def _choose_minibatches(run: TrainedRun, last: Steps | None) -> Minibatches:
    """Take the minibatches of the last steps if they are the run's, else make some."""
    X, y = run.data["X_train"], run.data["y_train"]
    if last is not None and last.minibatches.fits(X, y, run.batch_size):
        return last.minibatches
    return make_minibatches(run)
