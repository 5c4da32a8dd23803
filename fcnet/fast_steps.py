"""Steps by FastStep, settled many at a time: reading a loss waits for the device."""

import math
from functools import partial
from itertools import takewhile

from torch import Tensor

from fcnet.cuda_graph import GraphedStep
from fcnet.errors import Diverged
from fcnet.fast_step import FastStep
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.minibatches import Minibatch, Minibatches
from fcnet.solver_state import Run


class FastSteps:
    """Takes the steps of a two-layer net by plain sgd.

    The weights move in tensors of its own. A run gets copies, so that no tensor of a
    run changes in place, and it stands where it stood until its steps are settled.

    Attributes:
        minibatches: What the steps are taken on.
    """

    def __init__(self, model: FullyConnectedNet, minibatches: Minibatches) -> None:
        """Make room for that model and those minibatches."""
        self._model, self.minibatches = model, minibatches
        self._net = FastStep(model.params, minibatches.batch_size)
        self._losses = self._net.loss.new_empty(0)
        self._pending: list[Tensor] = []
        self._graph: GraphedStep | None = None
        self._graph_key: tuple[float, float] | None = None

    def fits(self, model: FullyConnectedNet, minibatches: Minibatches) -> bool:
        """Whether this was made for that model and those minibatches."""
        return self._model is model and self.minibatches is minibatches

    def begin(self, run: Run) -> None:
        """Stand before the next step of a run."""
        self._pending.clear()
        self._losses = self._losses.new_empty(self.minibatches.per_epoch)
        # A graph keeps the numbers that it was captured with. It is captured anew once
        # an epoch at most: the alternative, a learning rate on the device, would need a
        # further pass over W1 in every step for the L2 term.
        key = (self._load(run), self._model.reg)
        if key != self._graph_key:
            self._graph, self._graph_key = None, key

    def step(self, run: Run, chosen: Tensor) -> None:
        """Take one step on the examples at those indices, as yet unseen by the run."""
        self._step(chosen)
        self._losses[len(self._pending)].copy_(self._net.loss)
        self._pending.append(chosen)

    def settle(self, run: Run) -> None:
        """Bring parameters, losses and iteration of the run to the last step taken.

        Raises:
            Diverged: A loss is not finite; the run stands before that step.
        """
        if not self._pending:
            return
        losses = self._losses[: len(self._pending)].tolist()
        finite = list(takewhile(math.isfinite, losses))
        if len(finite) < len(losses):
            self._replay(run, len(finite))
        self._pending.clear()
        run.model.params.update({k: w.clone() for k, w in self._net.params.items()})
        run.iteration += len(finite)
        run.loss_history += finite
        if len(finite) < len(losses):
            raise Diverged(run.epoch + 1, run.iteration + 1, losses[len(finite)])

    def _load(self, run: Run) -> float:
        """Copy the run's parameters in; return its learning rate."""
        rate = float(run.optim_configs["W1"]["learning_rate"])
        self._net.load(run.model.params, rate, self._model.reg)
        return rate

    def _replay(self, run: Run, steps: int) -> None:
        """Take the first of the pending steps again, from where the run stands."""
        self._load(run)
        for chosen in self._pending[:steps]:
            self._step(chosen)

    def _step(self, chosen: Tensor) -> None:
        """Take one step, on a GPU and a whole minibatch as a graph."""
        room = self.minibatches.choose(chosen)
        if not chosen.is_cuda or len(chosen) < self.minibatches.batch_size:
            self._compute(room)
            return
        if self._graph is None:
            self._graph = GraphedStep(partial(self._compute, room))
        self._graph()

    def _compute(self, room: Minibatch) -> None:
        """Gather the minibatch chosen, and take a step on it."""
        self.minibatches.fill(room)
        self._net.compute(room.x, room.labels)
