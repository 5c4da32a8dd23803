"""The two-layer network: Linear, ReLU, Linear, softmax.

Letters: N examples, D inputs of an example, H hidden units, C classes.
"""

import math
from typing import overload

import torch
from torch import Tensor

from fcnet.generators import Stream, make_generator
from fcnet.layers import Linear, Linear_ReLU
from fcnet.losses import l2_loss, softmax_loss


class TwoLayerNet:
    """A network with one hidden layer, `scores = max(x W1 + b1, 0) W2 + b2`.

    Attributes:
        params: W1 (D, H), b1 (H,), W2 (H, C) and b2 (C,), all of one dtype and device.
        reg: Strength of the L2 regularisation of W1 and W2; biases have none.
    """

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        *,
        seed: int | None = None,
    ) -> None:
        """Draw Gaussian weights and set the biases to zero.

        Args:
            input_dim: D, at least 1.
            hidden_dim: H, at least 1.
            num_classes: C, at least 1.
            weight_scale: Standard deviation of the weights, >= 0.
            reg: Strength of the regularisation, >= 0.
            dtype: A floating dtype.
            device: Where the parameters lie.
            seed: The same seed gives the same weights in every dtype and on every
                device; without one torch's global generator is used.

        Raises:
            ValueError: An argument is out of its range.
        """
        dims = {"input_dim": input_dim, "hidden_dim": hidden_dim}
        _check_dims(dims | {"num_classes": num_classes})
        _check_scales({"weight_scale": weight_scale, "reg": reg})
        if not dtype.is_floating_point:
            raise ValueError(f"dtype must be floating, but got {dtype}")
        self.reg = reg
        self._dtype = dtype
        generator = None
        if seed is not None:
            generator = make_generator(seed, Stream.INITIAL_WEIGHTS)
        drawn = {
            "W1": weight_scale * _gaussian((input_dim, hidden_dim), generator),
            "b1": torch.zeros(hidden_dim),
            "W2": weight_scale * _gaussian((hidden_dim, num_classes), generator),
            "b2": torch.zeros(num_classes),
        }
        self.params = {k: v.to(device, dtype) for k, v in drawn.items()}

    @overload
    def loss(self, X: Tensor, y: None = None) -> Tensor: ...
    @overload
    def loss(self, X: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]: ...

    def loss(
        self, X: Tensor, y: Tensor | None = None
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Compute the scores or, given labels, the loss and its gradients.

        loss = softmax_loss(scores, y) + reg * (sum(W1**2) + sum(W2**2))

        Args:
            X: Examples, of shape (N, d_1, ..., d_k) with d_1 * ... * d_k = D; cast to
                the dtype of the parameters.
            y: Labels, of shape (N,), int64, 0 <= y[n] < C.

        Returns:
            Without y the scores, of shape (N, C). With y the loss, a tensor of no
            dimension, and the gradients, named and shaped as the parameters.
        """
        w1, b1, w2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden, hidden_cache = Linear_ReLU.forward(X.to(self._dtype), w1, b1)  # (N, H)
        scores, scores_cache = Linear.forward(hidden, w2, b2)  # (N, C)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        dhidden, dw2, db2 = Linear.backward(dscores, scores_cache)
        _, dw1, db1 = Linear_ReLU.backward(dhidden, hidden_cache)
        grads = {"W1": dw1, "b1": db1, "W2": dw2, "b2": db2}
        return self._regularise(loss, grads)

    def _regularise(
        self, loss: Tensor, grads: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Add the L2 term of W1 and W2 to the loss and to the gradients."""
        # Passing over W1 twice costs more than the rest of the loss: not for nothing.
        for name in ("W1", "W2") if self.reg else ():
            term, dterm = l2_loss(self.params[name], self.reg)
            loss = loss + term
            grads[name] += dterm
        return loss, grads


def _gaussian(shape: tuple[int, int], generator: torch.Generator | None) -> Tensor:
    """Draw a standard normal matrix of that shape."""
    # In float64 on the CPU, to be cast: one draw for all dtypes and devices.
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _check_dims(dims: dict[str, int]) -> None:
    """Raise a ValueError that names the first size below 1."""
    for name, size in dims.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, but got {size}")


def _check_scales(scales: dict[str, float]) -> None:
    """Raise a ValueError that names the first scale that is negative or not finite."""
    for name, scale in scales.items():
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"{name} must be finite and >= 0, but got {scale}")
