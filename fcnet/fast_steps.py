"""Steps by FastStep, settled many at a time: to read a loss is to wait for the device.

Letters: M examples in all.
"""

import math
from functools import partial
from itertools import takewhile

from torch import Tensor

from fcnet.cuda_graph import GraphedStep
from fcnet.errors import Diverged
from fcnet.fast_step import FastStep
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.solver_state import Run


class FastSteps:
    """Takes the steps of a two-layer net by plain sgd.

    The weights move in tensors of its own. A run gets copies, so that no tensor of a
    run changes in place, and it stands where it stood until its steps are settled.
    """

    def __init__(self, model: FullyConnectedNet, batch_size: int) -> None:
        """Make room for that model and minibatches of that size."""
        self._model, self._batch_size = model, batch_size
        self._net = FastStep(model.params, batch_size)
        self._losses = self._net.loss.new_empty(0)
        self._pending: list[Tensor] = []
        self._graph: GraphedStep | None = None
        self._graph_key: tuple[float, float, int, int] | None = None

    def fits(self, model: FullyConnectedNet, batch_size: int) -> bool:
        """Whether this was made for that model and that size."""
        return self._model is model and self._batch_size == batch_size

    def begin(self, run: Run, X: Tensor, y: Tensor) -> None:
        """Stand before the next step of a run on examples X (M, ...), y (M,)."""
        self._pending.clear()
        self._losses = self._losses.new_empty(math.ceil(len(X) / self._batch_size))
        self._net.bind(X.flatten(1), y)
        rate, reg = self._load(run), self._model.reg
        # A graph keeps the numbers and addresses that it was captured with. It is
        # captured anew once an epoch at most: the alternative, a learning rate on the
        # device, would need a further pass over W1 in every step for the L2 term.
        key = (rate, reg, X.data_ptr(), y.data_ptr())
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
        buffers = self._net.choose(chosen)
        if not chosen.is_cuda or len(chosen) < self._batch_size:
            self._net.compute(buffers)
            return
        if self._graph is None:
            self._graph = GraphedStep(partial(self._net.compute, buffers))
        self._graph()
