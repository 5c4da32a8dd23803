"""Nets that train on the same minibatches at the same time, as one computation.

Letters: P lanes, N examples of a minibatch, D inputs of an example.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from fcnet.cuda_graph import GraphedStep
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.generators import Stream, make_generator
from fcnet.lane_rows import LaneRows
from fcnet.layers import Dropout
from fcnet.minibatches import Minibatch, Minibatches
from fcnet.pack_step import PackStep
from fcnet.pack_updates import RuleUpdate, ScaledSgd, Update, copy_lane
from fcnet.update_rules import Config, UpdateRule


class Shape(NamedTuple):
    """What a Lockstep is made for; a graph of its step holds while this is the same.

    Attributes:
        widths: Hidden units of each lane.
        input_dim: D.
        num_classes: Classes.
        batch_size: N of a whole minibatch.
        dtype: That of parameters and inputs.
        device: Where they lie.
        update_rule: A rule of UPDATE_RULES.
        scaled: Whether ScaledSgd makes the updates.
        l2: Whether a lane has an L2 term.
        dropout: Whether a lane has dropout.
    """

    widths: tuple[int, ...]
    input_dim: int
    num_classes: int
    batch_size: int
    dtype: torch.dtype
    device: torch.device
    update_rule: UpdateRule
    scaled: bool
    l2: bool
    dropout: bool


class Lane(NamedTuple):
    """What a Lockstep has to know of one lane; it changes nothing of it.

    Attributes:
        model: The net, with one hidden layer.
        configs: The update rule's config of each parameter.
        seed: Of what dropout draws.
        epoch: The epoch under way, counted from 1.
        iteration: Updates made.
    """

    model: FullyConnectedNet
    configs: Mapping[str, Config]
    seed: int
    epoch: int
    iteration: int


class Lockstep:
    """Takes the steps of several lanes, in memory of its own.

    Attributes:
        minibatches: Of the examples to train on.
    """

    def __init__(self, shape: Shape, minibatches: Minibatches) -> None:
        """Make room for lanes of that shape, to be trained on those minibatches."""
        self.minibatches = minibatches
        like = torch.zeros((), dtype=shape.dtype, device=shape.device)
        self._shape, self._rows = shape, LaneRows(shape.widths, shape.device)
        self._net = PackStep(self._rows, shape.input_dim, shape.num_classes, like)
        self._update: Update = (
            ScaledSgd(self._net, self._rows)
            if shape.scaled
            else RuleUpdate(self._net, self._rows, shape.update_rule)
        )
        self._graph: GraphedStep | None = None
        self._steps = 0

    def train(
        self, lanes: Sequence[Lane], batches: Sequence[Tensor]
    ) -> list[list[float]]:
        """Take a step on each minibatch, from where the lanes stand.

        Args:
            lanes: As the shape has them, at the same iteration.
            batches: Indices of each minibatch, of shape (N,), int64.

        Returns:
            The losses of each lane; not finite from the step on that `lane` cannot
            be asked for.
        """
        self._load(lanes)
        self._steps = len(batches)
        losses = self._net.losses.new_empty(len(batches), len(lanes))
        for row, (done, chosen) in zip(losses, enumerate(batches), strict=True):
            self._net.make_room(len(chosen))
            self._draw_masks(lanes, done, len(chosen))
            self._step(self.minibatches.choose(chosen))
            row.copy_(self._net.losses)
        self._update.finish()
        # The one wait for the device.
        return losses.T.tolist()

    def params(self, lane: int) -> dict[str, Tensor]:
        """Return copies of a lane's parameters after the last step."""
        return {
            name: copy_lane(self._rows.lane(name, w, lane))
            for name, w in self._net.params.items()
        }

    def configs(self, lane: int) -> Mapping[str, Config]:
        """Return copies of a lane's configs after the last step."""
        return self._update.configs(lane, self._steps)

    def _load(self, lanes: Sequence[Lane]) -> None:
        """Copy parameters and settings of the lanes in."""
        for number, lane in enumerate(lanes):
            for name, w in self._net.params.items():
                self._rows.lane(name, w, number).copy_(lane.model.params[name])
        reg = torch.tensor([lane.model.reg for lane in lanes], dtype=torch.float64)
        self._net.reg.copy_(reg)
        self._update.load([lane.configs for lane in lanes])

    def _draw_masks(self, lanes: Sequence[Lane], done: int, examples: int) -> None:
        """Draw the dropout masks that each lane draws when it trains alone."""
        if not self._shape.dropout:
            return
        mask = self._net.mask(examples)
        for number, lane in enumerate(lanes):
            p, width = lane.model.dropout, self._shape.widths[number]
            room = self._rows.lane("W1", mask, number)  # (N, H_p)
            if not p:
                room.fill_(1)
                continue
            iteration = lane.iteration + done + 1
            stream = make_generator(lane.seed, Stream.DROPOUT, lane.epoch, iteration)
            room.copy_(Dropout.draw_kept((examples, width), p, stream)).div_(1 - p)

    def _step(self, room: Minibatch) -> None:
        """Take one step, on a GPU and a whole minibatch as a graph."""
        self._update.prepare()
        if not room.x.is_cuda or len(room.x) < self._shape.batch_size:
            self._compute(room)
            return
        if self._graph is None:
            self._graph = GraphedStep(partial(self._compute, room))
        self._graph()

    def _compute(self, room: Minibatch) -> None:
        """Take one step: at fixed addresses, without a wait for the device."""
        shape = self._shape
        self.minibatches.fill(room)
        gradients = self._net.compute(room.x, room.labels, shape.dropout, shape.l2)
        self._update.move(room.x, gradients)
