"""The fully connected network: hidden layers of any number, a Linear layer, softmax.

Letters: N examples, D inputs of an example, C classes, L layers, H_l units of layer l;
H_0 is D and H_L is C.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import overload

import torch
from torch import Tensor

from fcnet.generators import Stream, make_generator
from fcnet.layers import Dropout, DropoutCache, Linear, Linear_ReLU, LinearReLUCache
from fcnet.losses import l2_loss, softmax_loss

_HiddenCache = tuple[LinearReLUCache, DropoutCache]


class FullyConnectedNet:
    """A network of L - 1 times Linear, ReLU and Dropout, and a last Linear layer.

    Attributes:
        params: W1 (D, H_1), b1 (H_1,) to WL (H_L-1, C), bL (C,), all of one dtype and
            device.
        num_layers: L.
        reg: Strength of the L2 regularisation of W1 to WL; biases have none.
        dropout: The probability with which a hidden unit is dropped in training.
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout: float = 0.0,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        seed: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        """Draw Gaussian weights and set the biases to zero.

        Args:
            hidden_dims: H_1 to H_L-1, each at least 1; none for a linear classifier.
            input_dim: D, at least 1.
            num_classes: C, at least 1.
            dropout: The probability of dropping a hidden unit, 0 <= dropout < 1.
            reg: Strength of the regularisation, >= 0.
            weight_scale: Standard deviation of the weights, >= 0.
            seed: The same seed gives the same weights in every dtype and on every
                device; without one torch's global generator is used.
            dtype: A floating dtype.
            device: Where the parameters lie.

        Raises:
            ValueError: An argument is out of its range.
        """
        hidden = {f"hidden_dims[{i}]": size for i, size in enumerate(hidden_dims)}
        check_dims(hidden | {"input_dim": input_dim, "num_classes": num_classes})
        _check_scales({"weight_scale": weight_scale, "reg": reg})
        Dropout.check_probability(dropout)
        if not dtype.is_floating_point:
            raise ValueError(f"dtype must be floating, but got {dtype}")
        self.reg, self.dropout, self._dtype = reg, dropout, dtype
        self.num_layers = len(hidden_dims) + 1
        self._iteration = (0 if seed is None else seed, 0, 0)
        generator = None
        if seed is not None:
            generator = make_generator(seed, Stream.INITIAL_WEIGHTS)
        self.params: dict[str, Tensor] = {}
        sizes = pairwise((input_dim, *hidden_dims, num_classes))
        for layer, (rows, columns) in enumerate(sizes, 1):
            w = weight_scale * _gaussian((rows, columns), generator)
            self.params[f"W{layer}"] = w.to(device, dtype)
            self.params[f"b{layer}"] = torch.zeros(columns, dtype=dtype, device=device)

    def start_iteration(self, seed: int, epoch: int, iteration: int) -> None:
        """Say which iteration comes; its dropout masks depend on these alone.

        Until the next call every loss is computed with the same masks, so that it is a
        function of parameters and minibatch, as a gradient check needs it.

        Args:
            seed: The run's seed.
            epoch: The epoch under way, counted from 1.
            iteration: The iteration, counted from 1 over the whole run.
        """
        self._iteration = (seed, epoch, iteration)

    @overload
    def loss(self, X: Tensor, y: None = None) -> Tensor: ...
    @overload
    def loss(self, X: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]: ...

    def loss(
        self, X: Tensor, y: Tensor | None = None
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Compute the scores or, given labels, the loss and its gradients.

        loss = softmax_loss(scores, y) + reg * (sum(W1**2) + ... + sum(WL**2))

        There is no factor of one half in front of reg. The course's own text has one
        for this network, and none for the two-layer network: its reg is twice ours.

        Args:
            X: Examples, of shape (N, d_1, ..., d_k) with d_1 * ... * d_k = D; cast to
                the dtype of the parameters.
            y: Labels, of shape (N,), int64, 0 <= y[n] < C.

        Returns:
            Without y the scores, of shape (N, C), with no unit dropped. With y the
            loss, a tensor of no dimension, and the gradients, named and shaped as the
            parameters.
        """
        out, caches = self._hidden_layers(X.to(self._dtype), training=y is not None)
        scores, cache = Linear.forward(out, *self._weights(self.num_layers))  # (N, C)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        dout, dw, db = Linear.backward(dscores, cache)
        backwards = [(dw, db)]
        for linear_cache, dropout_cache in reversed(caches):
            dout = Dropout.backward(dout, dropout_cache)
            dout, dw, db = Linear_ReLU.backward(dout, linear_cache)
            backwards.append((dw, db))
        grads: dict[str, Tensor] = {}
        for layer, (dw, db) in enumerate(reversed(backwards), 1):
            grads |= {f"W{layer}": dw, f"b{layer}": db}
        return self._regularise(loss, grads)

    def _hidden_layers(
        self, x: Tensor, training: bool
    ) -> tuple[Tensor, list[_HiddenCache]]:
        """Carry x (N, ...) through the hidden layers: (N, H_L-1) and their caches."""
        generator = self._mask_generator() if training and self.dropout else None
        caches = []
        for layer in range(1, self.num_layers):
            x, linear_cache = Linear_ReLU.forward(x, *self._weights(layer))  # (N, H_l)
            x, dropout_cache = Dropout.forward(x, self.dropout, generator)
            caches.append((linear_cache, dropout_cache))
        return x, caches

    def _mask_generator(self) -> torch.Generator:
        """Make the generator of this iteration's dropout masks."""
        seed, epoch, iteration = self._iteration
        return make_generator(seed, Stream.DROPOUT, epoch, iteration)

    def _weights(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return weights and biases of a layer, counted from 1."""
        return self.params[f"W{layer}"], self.params[f"b{layer}"]

    def _regularise(
        self, loss: Tensor, grads: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Add the L2 term of all weights to the loss and to the gradients."""
        # Passing over W1 twice costs more than the rest of the loss: not for nothing.
        for layer in range(1, self.num_layers + 1) if self.reg else ():
            term, dterm = l2_loss(self.params[f"W{layer}"], self.reg)
            loss = loss + term
            grads[f"W{layer}"] += dterm
        return loss, grads


def _gaussian(shape: tuple[int, int], generator: torch.Generator | None) -> Tensor:
    """Draw a standard normal matrix of that shape."""
    # In float64 on the CPU, to be cast: one draw for all dtypes and devices.
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def check_dims(dims: dict[str, int]) -> None:
    """Raise a ValueError that names the first size below 1."""
    for name, size in dims.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, but got {size}")


def _check_scales(scales: dict[str, float]) -> None:
    """Raise a ValueError that names the first scale that is negative or not finite."""
    for name, scale in scales.items():
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"{name} must be finite and >= 0, but got {scale}")
