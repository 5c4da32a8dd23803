"""Which runs can train in lockstep, and what of them a Lockstep is made for."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.lane_updates import keeps_scale
from fcnet.solver_state import TrainedRun
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UPDATE_RULES, UpdateRule, sgd


class Lane(NamedTuple):
    """A run that can train in lockstep.

    Attributes:
        run: The run.
        net: Its model, which has one hidden layer.
    """

    run: TrainedRun
    net: FullyConnectedNet


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


def find_lane(run: TrainedRun) -> Lane | None:
    """Find out whether a run can train in lockstep.

    Args:
        run: The run.

    Returns:
        The run as a lane; None if it does not want to be one, if its model is of
        another depth or class, its rule is not in UPDATE_RULES, or its inputs are not
        of the dtype and device of its parameters, for there is no cast.
    """
    net = run.model
    if not run.fast or run.update_rule not in UPDATE_RULES.values():
        return None
    # A subclass may compute another loss.
    if not isinstance(net, FullyConnectedNet) or type(net) not in {
        FullyConnectedNet,
        TwoLayerNet,
    }:
        return None
    x = run.data["X_train"] if run.preprocess is None else run.preprocess.scale
    w = net.params["W1"]
    fits = net.num_layers == 2 and (x.dtype, x.device) == (w.dtype, w.device)
    return Lane(run, net) if fits else None


def shape_of(lanes: Sequence[Lane]) -> Shape:
    """Tell the shape of the Lockstep that trains lanes.

    Args:
        lanes: At least one; alike in all of it but widths, L2 term and dropout.

    Returns:
        The shape.
    """
    (run, net), w = lanes[0], lanes[0].net.params["W1"]
    rate = float(run.optim_configs["W1"]["learning_rate"])
    return Shape(
        widths=tuple(len(lane.net.params["b1"]) for lane in lanes),
        input_dim=len(w),
        num_classes=len(net.params["b2"]),
        batch_size=min(run.batch_size, len(run.data["X_train"])),
        dtype=w.dtype,
        device=w.device,
        update_rule=run.update_rule,
        scaled=run.update_rule is sgd and keeps_scale(rate, net.reg),
        l2=any(lane.net.reg for lane in lanes),
        dropout=any(lane.net.dropout for lane in lanes),
    )
