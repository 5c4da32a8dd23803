"""Two-layer nets side by side: losses and gradients on one minibatch.

What FullyConnectedNet.loss computes for each net is computed once more, rounded
otherwise, and held to it by tests. What it saves, even for a single net:

- the first layers, where nearly all the work is, are one matrix product: the weights
  stand side by side, transposed, so that each net's are one block of memory;
- no gradient of the loss with respect to the examples, which nobody needs;
- hardly any memory taken in a step: results have buffers;
- no wait for the device: the losses stay there.

Nets do not mix: whatever is infinite or not a number in one of them stays in its rows.

Letters: P lanes, N examples of a minibatch, D inputs of an example, H_p hidden units of
lane p, S = H_1 + ... + H_P, M the largest H_p, C classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fcnet.lane_rows import LaneRows


class Gradients(NamedTuple):
    """N times the gradients of all lanes, but for their L2 terms.

    Attributes:
        hidden: With respect to x W1 + b1, of shape (S, N).
        W2: Of shape (S, C).
        b2: Of shape (P, C).
    """

    hidden: Tensor
    W2: Tensor
    b2: Tensor


class _Buffers(NamedTuple):
    """Room for the results of a minibatch of N examples."""

    products: Tensor  # (S, N)
    hidden: Tensor  # (S + 1, N), the last row zero
    units: Tensor  # (S, N), all rows of hidden but the last
    hidden_lanes: Tensor  # (P, M, N)
    mask: Tensor  # (S, N)
    scores: Tensor  # (P, C, N)
    log_p: Tensor  # (P, C, N)
    picked: Tensor  # (P, 1, N)
    minus_ones: Tensor  # (P, 1, N)
    dhidden: Tensor  # (S, N)
    dhidden_lanes: Tensor  # (P, M, N)


class LaneNets:
    """The nets' weights, and room for one minibatch.

    Attributes:
        params: W1 (S, D), b1 (S, 1), W2 (S, C) and b2 (P, C): those of each net
            transposed, row below row.
        scale: Of shape (S, 1): the first layer's weights are `scale * W1`.
        reg: Strength of each lane's L2 term, of shape (P,).
        parts: Of the losses of the last step, of shape (3, P); see `losses`.
    """

    def __init__(
        self, rows: LaneRows, input_dim: int, num_classes: int, like: Tensor
    ) -> None:
        """Make room for the weights.

        Args:
            rows: Which row belongs to which lane.
            input_dim: D.
            num_classes: C.
            like: A tensor of the dtype and device wanted.
        """
        lanes, total, self._rows = len(rows.widths), rows.total, rows
        self._w2 = like.new_zeros(total + 1, num_classes)  # the last row stays 0
        self._w2_lanes = rows.make_lanes(self._w2)
        self.params = {
            "W1": like.new_empty(total, input_dim),
            "b1": like.new_empty(total, 1),
            "W2": self._w2[:total],
            "b2": like.new_empty(lanes, num_classes),
        }
        self.scale = like.new_ones(total, 1)
        self.reg, self.parts = like.new_zeros(lanes), like.new_zeros(3, lanes)
        self._log_p, self._norm1, self._norm2 = self.parts
        self._dw2 = like.new_empty(total, num_classes)
        self._dw2_lanes = rows.make_lanes(self._dw2)
        self._db2 = like.new_empty(lanes, num_classes)
        self._norms = like.new_zeros(total + 1, 1)  # the last one stays 0
        self._norm_lanes = rows.make_lanes(self._norms)
        self._buffers: dict[int, _Buffers] = {}

    def make_room(self, examples: int) -> None:
        """Make sure that there is room for minibatches of that many examples, N."""
        if examples not in self._buffers:
            self._buffers[examples] = self._make_buffers(examples)

    def mask(self, examples: int) -> Tensor:
        """Return the dropout mask (S, N) that a step on N examples applies; 1 at first.

        Args:
            examples: N, for which there is room.

        Returns:
            What hidden units are multiplied with, to be written to.
        """
        return self._buffers[examples].mask

    def compute(self, x: Tensor, labels: Tensor, dropout: bool, l2: bool) -> Gradients:
        """Compute parts of losses, and gradients: at fixed addresses, without a wait.

        Args:
            x: Inputs, of shape (N, D); there is room for N.
            labels: Of shape (N,), int64, 0 <= labels[n] < C.
            dropout: Whether the mask is applied.
            l2: Whether a lane has an L2 term.

        Returns:
            The gradients, in buffers that the next step overwrites.
        """
        buffers = self._buffers[len(x)]
        log_p, picked = buffers.log_p, buffers.picked
        index = labels.view(1, 1, -1).expand(picked.shape)
        self._forward(x, buffers, dropout)
        torch.gather(log_p, 1, index, out=picked)
        torch.sum(picked, dim=(1, 2), out=self._log_p)
        if l2:
            self._compute_norms()
        dscores = log_p.exp_().scatter_add_(1, index, buffers.minus_ones)
        return self._backward(dscores, buffers, dropout)

    def losses(self, parts: Tensor, examples: Sequence[int]) -> Tensor:
        """Put the losses of several steps together from their parts.

        Args:
            parts: Of shape (T, 3, P): each step's sum of log p[n, y[n]] over n, and the
                roots of sum(W1**2) and sum(W2**2).
            examples: N of each of the T steps.

        Returns:
            The losses, of shape (T, P).
        """
        log_p, norm1, norm2 = parts.unbind(1)
        counts = torch.tensor(examples).to(log_p).unsqueeze(1)
        terms = self.reg * (norm1.square() + norm2.square())
        # 0 times infinity is no loss: a lane without the term has none of its trouble.
        return torch.where(self.reg > 0, terms, 0) - log_p / counts

    def _forward(self, x: Tensor, buffers: _Buffers, dropout: bool) -> None:
        """Compute hidden units and log probabilities."""
        products, units = buffers.products, buffers.units
        torch.mm(self.params["W1"], x.T, out=products)
        torch.addcmul(self.params["b1"], products, self.scale, out=units).relu_()
        if dropout:
            units.mul_(buffers.mask)
        # Lanes of one width: few launches on a GPU. On a CPU, two and four lanes took
        # as long as a loop over lanes; 16 lanes of 33 to 484 units took 1.7 times as
        # long, which is 1.4 % of the step.
        self._rows.pad(buffers.hidden, buffers.hidden_lanes)
        self._rows.pad(self._w2, self._w2_lanes)
        # W2^T hidden^T + b2: a CPU takes a third of the time that hidden W2 takes it.
        torch.bmm(self._w2_lanes.mT, buffers.hidden_lanes, out=buffers.scores)
        buffers.scores.add_(self.params["b2"].unsqueeze(2))
        torch.log_softmax(buffers.scores, 1, out=buffers.log_p)

    def _compute_norms(self) -> None:
        """Compute the root of sum(W1**2), and that of sum(W2**2), of each lane."""
        # A pass over W1: 3 % of a step on a CPU, at 2,000 hidden units. To carry the
        # norms along with the help of x x^T took longer.
        norms = self._norms[: self._rows.total]
        torch.linalg.vector_norm(self.params["W1"], dim=1, keepdim=True, out=norms)
        norms.mul_(self.scale)
        self._rows.pad(self._norms, self._norm_lanes)
        torch.linalg.vector_norm(self._norm_lanes, dim=(1, 2), out=self._norm1)
        torch.linalg.vector_norm(self._w2_lanes, dim=(1, 2), out=self._norm2)

    def _backward(self, dscores: Tensor, buffers: _Buffers, dropout: bool) -> Gradients:
        """Carry dscores (P, C, N) back; the hidden units are lost."""
        rows, dhidden = self._rows, buffers.dhidden
        # dW2 = hidden^T dscores
        torch.bmm(buffers.hidden_lanes, dscores.mT, out=self._dw2_lanes)
        rows.unpad(self._dw2_lanes, self._dw2)
        torch.sum(dscores, 2, out=self._db2)  # sum_n dscores[n]
        # dhidden = dscores W2^T
        torch.bmm(self._w2_lanes, dscores, out=buffers.dhidden_lanes)
        rows.unpad(buffers.dhidden_lanes, dhidden)
        # A hidden unit is 0 where ReLU cut it off or dropout took it.
        dhidden.mul_(buffers.units.sign_())
        if dropout:
            dhidden.mul_(buffers.mask)
        return Gradients(dhidden, self._dw2, self._db2)

    def _make_buffers(self, examples: int) -> _Buffers:
        """Make buffers for N examples."""
        like, rows = self.parts, self._rows
        lanes, classes = self.params["b2"].shape
        hidden = like.new_zeros(rows.total + 1, examples)
        dhidden = like.new_empty(rows.total, examples)
        return _Buffers(
            # In the order of x W1: on a CPU up to a tenth faster than that of W1^T x^T.
            products=like.new_empty(examples, rows.total).T,
            hidden=hidden,
            units=hidden[: rows.total],
            hidden_lanes=rows.make_lanes(hidden),
            mask=like.new_ones(rows.total, examples),
            scores=like.new_empty(lanes, classes, examples),
            log_p=like.new_empty(lanes, classes, examples),
            picked=like.new_empty(lanes, 1, examples),
            minus_ones=like.new_full((lanes, 1, examples), -1),
            dhidden=dhidden,
            dhidden_lanes=rows.make_lanes(dhidden),
        )
