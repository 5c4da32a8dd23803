"""The steps of one run as a Lockstep of one lane, settled many at a time."""

import math
from collections.abc import Sequence
from itertools import takewhile

from torch import Tensor

from fcnet.errors import Diverged
from fcnet.lockstep import Lockstep
from fcnet.lockstep_shape import Lane, shape_of
from fcnet.minibatches import Minibatches
from fcnet.solver_state import TrainedRun


class LockstepSteps:
    """Takes the steps of a run that can train in lockstep.

    A run that goes on in mid-epoch after it was settled and begun anew rounds otherwise
    than one that was not: the scale of ScaledSgd is in its weights then.

    Attributes:
        minibatches: What the steps are taken on.
    """

    def __init__(self, lane: Lane, minibatches: Minibatches) -> None:
        """Make room for that lane and those minibatches."""
        self._lane, self.minibatches = lane, minibatches
        self._lockstep = Lockstep(shape_of([lane]), minibatches)
        self._pending: list[Tensor] = []

    def fits(self, lane: Lane, minibatches: Minibatches) -> bool:
        """Whether this was made for that lane as it is now, and those minibatches."""
        return (
            self._lane == lane
            and self.minibatches is minibatches
            and self._lockstep.shape == shape_of([lane])
        )

    def begin(self, run: TrainedRun) -> None:
        """Stand before the next step of the run."""
        self._pending = []
        self._lockstep.begin([self._lane])

    def step(self, run: TrainedRun, chosen: Tensor) -> None:
        """Take one step on the examples at those indices, as yet unseen by the run."""
        self._lockstep.step(chosen)
        self._pending.append(chosen)

    def settle(self, run: TrainedRun) -> None:
        """Bring parameters, losses and iteration of the run to the last step taken.

        Raises:
            Diverged: A loss is not finite; the run stands before that step.
        """
        batches, self._pending = self._pending, []
        [losses] = self._lockstep.losses(len(batches))
        if not all(map(math.isfinite, losses)):
            raise settle_diverged(self._lane, self._lockstep, batches, losses)
        if losses:
            self._lockstep.settle(0, losses)


def settle_diverged(
    lane: Lane, lockstep: Lockstep, batches: Sequence[Tensor], losses: Sequence[float]
) -> Diverged:
    """Bring a run to where its loss is not finite any more: its steps once more.

    Args:
        lane: The run.
        lockstep: Of the shape of that lane alone.
        batches: Indices of the minibatches after the step that the run stands at.
        losses: The loss in each of those steps.

    Returns:
        What is to be raised.
    """
    lost = math.nan
    finite = list(takewhile(math.isfinite, losses))
    # In other company a step rounds otherwise, and may go wrong a step earlier.
    while len(finite) < len(losses):
        lost = losses[len(finite)]
        [losses] = lockstep.train([lane], batches[: len(finite)])
        finite = list(takewhile(math.isfinite, losses))
    if finite:
        lockstep.settle(0, finite)
    return Diverged(lane.run.epoch + 1, lane.run.iteration + 1, lost)
