"""The step of a two-layer net by plain sgd, a second time: with nothing wasted.

It computes what FullyConnectedNet.loss and `sgd` compute, rounded otherwise, and is
held to them by tests. What it saves:

- no gradient of the loss with respect to the examples, which nobody needs;
- no gradient of the weights: the matrix product that would give it makes the whole
  update, the L2 term included, in place;
- no memory taken in a step: every result has a buffer;
- no wait for the device: the loss stays there.

Letters: N examples of a minibatch, D inputs of an example, H hidden units, C classes.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor

from fcnet.accuracy import Model
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UpdateRule, sgd


def applies(
    model: Model, update_rule: UpdateRule, x: Tensor
) -> TypeGuard[FullyConnectedNet]:
    """Whether a step can be made here: one hidden layer, no dropout, plain sgd.

    Args:
        model: The model; a subclass may compute another loss, so that none is taken.
        update_rule: The update rule.
        x: Inputs, of shape (N, D); of the parameters' dtype and device, for there is
            no cast.

    Returns:
        Whether FastStep makes the step that model and rule would make.
    """
    if not isinstance(model, FullyConnectedNet) or update_rule is not sgd:
        return False
    w = model.params["W1"]
    return (
        type(model) in {FullyConnectedNet, TwoLayerNet}
        and (model.num_layers, model.dropout) == (2, 0)
        and (x.dtype, x.device) == (w.dtype, w.device)
    )


class Buffers(NamedTuple):
    """Room for the results of one minibatch, each with N rows."""

    hidden: Tensor
    scores: Tensor
    log_p: Tensor
    picked: Tensor
    minus_ones: Tensor
    dhidden: Tensor
    alive: Tensor
    ones: Tensor


class FastStep:
    """One step after another on weights of its own, in place.

    Attributes:
        params: W1 (D, H), b1 (H,), W2 (H, C) and b2 (C,).
        loss: The loss of the last step, before its update; a tensor of no dimension.
    """

    def __init__(self, params: Mapping[str, Tensor], batch_size: int) -> None:
        """Make room for parameters like those, and for minibatches of that size."""
        self.params = {name: w.new_empty(w.shape) for name, w in params.items()}
        self.loss = params["W1"].new_zeros(())
        self._buffers = _make_buffers(params, batch_size)
        self._rate = self._reg = 0.0

    def load(self, params: Mapping[str, Tensor], rate: float, reg: float) -> None:
        """Copy parameters in; take learning rate and strength of the L2 term."""
        for name, w in self.params.items():
            w.copy_(params[name])
        self._rate, self._reg = rate, reg

    def compute(self, x: Tensor, labels: Tensor) -> None:
        """Take one step: at fixed addresses, without a wait for the device.

        Args:
            x: Inputs, of shape (N, D), N <= batch_size.
            labels: Of shape (N,), int64, 0 <= labels[n] < C.
        """
        buffers = self._buffers
        if len(x) < len(buffers.hidden):
            buffers = Buffers(*(buffer[: len(x)] for buffer in buffers))
        self._forward(x, labels, buffers)
        self._update(x, labels, buffers)

    def _forward(self, x: Tensor, labels: Tensor, buffers: Buffers) -> None:
        """Compute hidden units, log probabilities and the loss."""
        w1, b1, w2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden, scores, log_p, picked, *_ = buffers
        torch.addmm(b1, x, w1, out=hidden).clamp_(min=0)  # max(x W1 + b1, 0)
        torch.addmm(b2, hidden, w2, out=scores)  # hidden W2 + b2
        torch.log_softmax(scores, 1, out=log_p)
        torch.gather(log_p, 1, labels.unsqueeze(1), out=picked)
        loss = -picked.mean()  # -1/N sum_n log p[n, y[n]]
        if self._reg:
            squares = torch.dot(w1.view(-1), w1.view(-1))  # sum(W1**2) in one pass
            squares += torch.dot(w2.view(-1), w2.view(-1))
            loss += self._reg * squares
        self.loss.copy_(loss)

    def _update(self, x: Tensor, labels: Tensor, buffers: Buffers) -> None:
        """Carry the gradient back and move the weights along it.

        N times the gradient is carried; 1/N is in the rate of the matrix products.
        """
        w1, b1, w2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden, _, log_p, _, minus_ones, dhidden, alive, ones = buffers
        rate = -self._rate / len(x)
        # w - lr (dw + 2 reg w) = (1 - 2 lr reg) w - lr dw, lr the learning rate
        keep = 1 - 2 * self._rate * self._reg
        dscores = log_p.exp_().scatter_add_(1, labels.unsqueeze(1), minus_ones)
        # Before W2 moves: the gradient is that of the W2 which made the scores.
        torch.mm(dscores, w2.T, out=dhidden)
        dhidden.mul_(torch.sign(hidden, out=alive))  # hidden is 0 where ReLU cut it off
        w2.addmm_(hidden.T, dscores, beta=keep, alpha=rate)
        b2.addmv_(dscores.T, ones, alpha=rate)  # sum_n dscores[n]
        w1.addmm_(x.T, dhidden, beta=keep, alpha=rate)
        b1.addmv_(dhidden.T, ones, alpha=rate)


def _make_buffers(params: Mapping[str, Tensor], rows: int) -> Buffers:
    """Make buffers of that many rows, of the parameters' dtype and device."""
    w1, w2 = params["W1"], params["W2"]
    hidden, classes = w2.shape
    return Buffers(
        hidden=w1.new_empty(rows, hidden),
        scores=w1.new_empty(rows, classes),
        log_p=w1.new_empty(rows, classes),
        picked=w1.new_empty(rows, 1),
        minus_ones=w1.new_full((rows, 1), -1),
        dhidden=w1.new_empty(rows, hidden),
        alive=w1.new_empty(rows, hidden),
        ones=w1.new_ones(rows),
    )
