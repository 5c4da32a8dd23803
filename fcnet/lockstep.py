"""Nets that train on the same minibatches at the same time, as one computation.

Letters: P lanes, N examples of a minibatch.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from fcnet.cuda_graph import GraphedStep
from fcnet.generators import Stream, make_generator
from fcnet.lane_nets import LaneNets
from fcnet.lane_rows import LaneRows
from fcnet.lane_updates import RuleUpdate, ScaledSgd, Update
from fcnet.layers import Dropout
from fcnet.lockstep_shape import Lane, Shape
from fcnet.minibatches import Minibatch, Minibatches


class Lockstep:
    """Takes the steps of several lanes, or of one, in memory of its own.

    A run gets copies, so that no tensor of a run changes in place, and it stands where
    it stood until it is settled.

    Attributes:
        shape: What there is room for.
        minibatches: Of the examples to train on.
    """

    def __init__(self, shape: Shape, minibatches: Minibatches) -> None:
        """Make room for lanes of that shape, to be trained on those minibatches."""
        self.shape, self.minibatches = shape, minibatches
        like = torch.zeros((), dtype=shape.dtype, device=shape.device)
        self._rows = LaneRows(shape.widths, shape.device)
        self._nets = LaneNets(self._rows, shape.input_dim, shape.num_classes, like)
        self._update: Update = (
            ScaledSgd(self._nets, self._rows)
            if shape.scaled
            else RuleUpdate(self._nets, self._rows, shape.update_rule)
        )
        # Of the losses of each step of an epoch.
        self._parts = like.new_empty(minibatches.per_epoch, *self._nets.parts.shape)
        self._sizes: list[int] = []
        self._graph: GraphedStep | None = None
        self._lanes: Sequence[Lane] = ()
        self._began = 0

    def train(
        self, lanes: Sequence[Lane], batches: Sequence[Tensor]
    ) -> list[list[float]]:
        """Take a step on each minibatch, from where the lanes stand.

        Args:
            lanes: As the shape has them, at the same iteration.
            batches: Indices of each minibatch, of shape (N,), int64.

        Returns:
            The losses of each lane; a lane can be settled if all of its are finite.
        """
        self.begin(lanes)
        for chosen in batches:
            self.step(chosen)
        return self.losses(len(batches))

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Stand where the lanes stand: copy parameters and settings in."""
        self._lanes, self._began, self._sizes = lanes, lanes[0].run.iteration, []
        for number, (_, net) in enumerate(lanes):
            for name, w in self._nets.params.items():
                self._rows.write(name, w, number, net.params[name])
        reg = torch.tensor([net.reg for _, net in lanes], dtype=torch.float64)
        self._nets.reg.copy_(reg)
        self._update.load([run.optim_configs for run, _ in lanes])

    def step(self, chosen: Tensor) -> None:
        """Take one step on the examples at those indices, without a wait."""
        self._nets.make_room(len(chosen))
        self._draw_masks(len(chosen))
        self._step(self.minibatches.choose(chosen))
        self._parts[len(self._sizes)].copy_(self._nets.parts)
        self._sizes.append(len(chosen))

    def losses(self, last: int) -> list[list[float]]:
        """Return the losses of each lane in the last so many steps: the one wait."""
        done = slice(len(self._sizes) - last, len(self._sizes))
        losses = self._nets.losses(self._parts[done], self._sizes[done])
        found: list[list[float]] = losses.T.tolist()
        return found

    def settle(self, number: int, losses: Sequence[float]) -> None:
        """Bring a lane's run to the last step taken.

        Args:
            number: The lane, counted from 0.
            losses: Those that its run does not have yet, all finite.
        """
        run, net = self._lanes[number]
        net.params.update(self._params(number))
        run.optim_configs = dict(self._update.configs(number, len(self._sizes)))
        run.iteration += len(losses)
        run.loss_history += losses
        net.start_iteration(run.seed, run.epoch + 1, run.iteration)

    def _params(self, number: int) -> dict[str, Tensor]:
        """Return copies of a lane's parameters after the last step."""
        lane, params = self._rows.lane, self._nets.params
        scale = lane("b1", self._nets.scale, number)
        return {
            # In the order in which it lies: a copy in rows of H_p takes five times as
            # long on a CPU.
            name: w * scale if name == "W1" else w.clone()
            for name, w in ((k, lane(k, rows, number)) for k, rows in params.items())
        }

    def _draw_masks(self, examples: int) -> None:
        """Draw the dropout masks that each lane draws by the readable steps."""
        if not self.shape.dropout:
            return
        mask, iteration = self._nets.mask(examples), self._began + len(self._sizes) + 1
        for number, (run, net) in enumerate(self._lanes):
            room = self._rows.lane("W1", mask, number)  # (N, H_p)
            if not net.dropout:
                room.fill_(1)
                continue
            stream = make_generator(run.seed, Stream.DROPOUT, run.epoch + 1, iteration)
            kept = Dropout.draw_kept(room.shape, net.dropout, stream)
            room.copy_(kept).div_(1 - net.dropout)

    def _step(self, room: Minibatch) -> None:
        """Take one step, on a GPU and a whole minibatch as a graph."""
        self._update.prepare()
        if not room.x.is_cuda or len(room.x) < self.shape.batch_size:
            self._compute(room)
            return
        if self._graph is None:
            self._graph = GraphedStep(partial(self._compute, room))
        self._graph()

    def _compute(self, room: Minibatch) -> None:
        """Take one step: at fixed addresses, without a wait for the device."""
        shape = self.shape
        self.minibatches.fill(room)
        gradients = self._nets.compute(room.x, room.labels, shape.dropout, shape.l2)
        self._update.move(room.x, gradients)
