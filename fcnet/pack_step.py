"""One step of many two-layer nets on the same minibatch: losses and gradients.

It computes what FullyConnectedNet.loss computes for each net, rounded otherwise. The
first layers, where nearly all the work is, are one matrix product: the weights stand
side by side, transposed, so that each net's are one block of memory.

Nets do not mix: whatever is infinite or not a number in one of them stays in its rows.

Letters: P lanes, N examples of a minibatch, D inputs of an example, H_p hidden units of
lane p, S = H_1 + ... + H_P, M the largest H_p, C classes.
"""

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

    hidden: Tensor  # (S + 1, N), the last row zero
    mask: Tensor  # (S, N)
    hidden_lanes: Tensor  # (P * M, N)
    scores: Tensor  # (P, C, N)
    log_p: Tensor  # (P, C, N)
    dhidden_lanes: Tensor  # (P, M, N)
    dhidden: Tensor  # (S, N)
    alive: Tensor  # (S, N)


class PackStep:
    """The nets' weights side by side, and room for one minibatch.

    Attributes:
        params: W1 (S, D), b1 (S, 1), W2 (S, C) and b2 (P, C): those of each net
            transposed, row below row.
        scale: Of shape (S, 1): the first layer's weights are `scale * W1`.
        reg: Strength of each lane's L2 term, of shape (P,).
        losses: Of the last step, of shape (P,).
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
        lanes, self._rows = len(rows.widths), rows
        self._w2 = like.new_zeros(rows.total + 1, num_classes)  # the last row stays 0
        self.params = {
            "W1": like.new_empty(rows.total, input_dim),
            "b1": like.new_empty(rows.total, 1),
            "W2": self._w2[: rows.total],
            "b2": like.new_empty(lanes, num_classes),
        }
        self.scale = like.new_ones(rows.total, 1)
        self.reg, self.losses = like.new_zeros(lanes), like.new_zeros(lanes)
        self._w2_lanes = like.new_empty(lanes * rows.widest, num_classes)
        self._dw2_lanes = like.new_empty(lanes, rows.widest, num_classes)
        self._gradients = self.params["W2"].clone(), self.params["b2"].clone()
        self._squares = like.new_zeros(rows.total + 1)  # the last one stays 0
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
        """Compute losses and gradients: at fixed addresses, without a wait.

        Args:
            x: Inputs, of shape (N, D); there is room for N.
            labels: Of shape (N,), int64, 0 <= labels[n] < C.
            dropout: Whether the mask is applied.
            l2: Whether a lane has an L2 term.

        Returns:
            The gradients, in buffers that the next step overwrites.
        """
        buffers = self._buffers[len(x)]
        lanes = len(self.losses)
        index = labels.view(1, 1, -1).expand(lanes, -1, -1)
        hidden, w2 = self._forward(x, buffers, dropout)
        picked = buffers.log_p.gather(1, index)
        losses = -picked.mean(dim=(1, 2))  # -1/N sum_n log p[n, y[n]]
        if l2:
            losses += self._l2_losses()
        self.losses.copy_(losses)
        minus_ones = torch.full_like(picked, -1)
        dscores = buffers.log_p.exp_().scatter_add_(1, index, minus_ones)
        return self._backward(dscores, hidden, w2, buffers, dropout)

    def _forward(
        self, x: Tensor, buffers: _Buffers, dropout: bool
    ) -> tuple[Tensor, Tensor]:
        """Compute log probabilities; return hidden units and W2 as lanes (P, M, .)."""
        hidden = buffers.hidden[: self._rows.total]
        torch.mm(self.params["W1"], x.T, out=hidden)
        hidden.mul_(self.scale).add_(self.params["b1"]).clamp_(min=0)
        if dropout:
            hidden.mul_(buffers.mask)
        # Lanes of one width: few launches on a GPU. On a CPU, two and four lanes took
        # as long as a loop over lanes; 16 lanes of 33 to 484 units took 1.7 times as
        # long, which is 1.4 % of the step.
        hidden_lanes = self._rows.pad(buffers.hidden, buffers.hidden_lanes)
        w2_lanes = self._rows.pad(self._w2, self._w2_lanes)
        b2 = self.params["b2"].unsqueeze(2)
        # W2^T hidden^T + b2: a CPU takes a third of the time that hidden W2 takes it.
        torch.baddbmm(b2, w2_lanes.mT, hidden_lanes, out=buffers.scores)
        torch.log_softmax(buffers.scores, 1, out=buffers.log_p)
        return hidden_lanes, w2_lanes

    def _l2_losses(self) -> Tensor:
        """Compute reg * (sum(W1**2) + sum(W2**2)) of each lane, of shape (P,)."""
        # A pass over W1: 3 % of a step on a CPU, at 2,000 hidden units. To carry the
        # norms along with the help of x x^T took longer.
        norms = torch.linalg.vector_norm(self.params["W1"], dim=1)
        squares = self._squares[: self._rows.total]
        torch.mul(norms, self.scale.squeeze(1), out=squares).square_()
        squares += self.params["W2"].square().sum(dim=1)
        terms = self.reg * self._rows.sums(self._squares)
        # 0 times infinity is no loss: a lane without the term has none of its trouble.
        return torch.where(self.reg > 0, terms, 0)

    def _backward(
        self,
        dscores: Tensor,
        hidden: Tensor,
        w2: Tensor,
        buffers: _Buffers,
        dropout: bool,
    ) -> Gradients:
        """Carry dscores (P, C, N) back; hidden and w2 are lanes (P, M, .)."""
        dw2, db2 = self._gradients
        torch.bmm(hidden, dscores.mT, out=self._dw2_lanes)  # dW2 = hidden^T dscores
        self._rows.unpad(self._dw2_lanes, dw2)
        torch.sum(dscores, 2, out=db2)  # sum_n dscores[n]
        torch.bmm(w2, dscores, out=buffers.dhidden_lanes)  # dhidden = dscores W2^T
        dhidden = self._rows.unpad(buffers.dhidden_lanes, buffers.dhidden)
        # A hidden unit is 0 where ReLU cut it off or dropout took it.
        dhidden.mul_(torch.sign(buffers.hidden[: self._rows.total], out=buffers.alive))
        if dropout:
            dhidden.mul_(buffers.mask)
        return Gradients(dhidden, dw2, db2)

    def _make_buffers(self, examples: int) -> _Buffers:
        """Make buffers for N examples."""
        like, total = self.losses, self._rows.total
        (lanes, classes), widest = self.params["b2"].shape, self._rows.widest
        return _Buffers(
            hidden=like.new_zeros(total + 1, examples),
            mask=like.new_ones(total, examples),
            hidden_lanes=like.new_empty(lanes * widest, examples),
            scores=like.new_empty(lanes, classes, examples),
            log_p=like.new_empty(lanes, classes, examples),
            dhidden_lanes=like.new_empty(lanes, widest, examples),
            dhidden=like.new_empty(total, examples),
            alive=like.new_empty(total, examples),
        )
