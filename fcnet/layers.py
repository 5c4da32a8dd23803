"""Fully connected layers, each a forward pass and its gradient by hand.

`forward` returns the output and a cache; `backward` takes the gradient of the loss
with respect to that output (`dout`) and the cache, and returns the gradients with
respect to every input of `forward`, in the same order. No input is changed.

Letters: N examples, D inputs of a layer, H outputs of a layer.
Every tensor of one call has the same floating dtype and lies on the same device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

LinearCache = tuple[Tensor, Tensor]
LinearReLUCache = tuple[LinearCache, Tensor]
DropoutCache = Tensor | None


class Linear:
    """The affine map `out = x W + b`."""

    @staticmethod
    def forward(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, LinearCache]:
        """Compute `out[n, h] = sum_d x[n, d] w[d, h] + b[h]`.

        Args:
            x: Input, of shape (N, d_1, ..., d_k) with d_1 * ... * d_k = D.
            w: Weights, of shape (D, H).
            b: Biases, of shape (H,).

        Returns:
            The output, of shape (N, H), and the cache (x, w).

        Raises:
            RuntimeError: The shapes do not fit (torch names them).
        """
        out = torch.addmm(b, x.flatten(1), w)  # x W + b
        return out, (x, w)

    @staticmethod
    def backward(dout: Tensor, cache: LinearCache) -> tuple[Tensor, Tensor, Tensor]:
        """Carry the gradient from the output to x, w and b.

        The chain rule on `out = x W + b` (Goodfellow et al., Deep Learning, 2016,
        section 6.5.6).

        Args:
            dout: Gradient with respect to the output, of shape (N, H).
            cache: What `forward` returned.

        Returns:
            dx of the shape of x, dw of shape (D, H), db of shape (H,).
        """
        x, w = cache
        dx = (dout @ w.T).reshape(x.shape)  # dx = dout W^T
        dw = x.flatten(1).T @ dout  # dW = x^T dout
        db = dout.sum(dim=0)  # db = sum_n dout[n]
        return dx, dw, db


class ReLU:
    """The rectifier `out = max(x, 0)`, element by element."""

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute `out = max(x, 0)`.

        Args:
            x: Input, of any shape.

        Returns:
            The output, of the shape of x, and the cache x.
        """
        return x.clamp(min=0), x

    @staticmethod
    def backward(dout: Tensor, cache: Tensor) -> Tensor:
        """Carry the gradient from the output to x.

        The rectifier has no derivative at 0; 0 is taken there.

        Args:
            dout: Gradient with respect to the output, of the shape of x.
            cache: What `forward` returned.

        Returns:
            dx, of the shape of x.
        """
        return torch.where(cache > 0, dout, 0)  # dx = dout [x > 0]


class Linear_ReLU:
    """A Linear layer followed by a ReLU."""

    @staticmethod
    def forward(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, LinearReLUCache]:
        """Compute `out = max(x W + b, 0)`.

        Args:
            x: Input, of shape (N, d_1, ..., d_k) with d_1 * ... * d_k = D.
            w: Weights, of shape (D, H).
            b: Biases, of shape (H,).

        Returns:
            The output, of shape (N, H), and the caches of both layers.

        Raises:
            RuntimeError: The shapes do not fit (torch names them).
        """
        affine, linear_cache = Linear.forward(x, w, b)
        out, relu_cache = ReLU.forward(affine)
        return out, (linear_cache, relu_cache)

    @staticmethod
    def backward(dout: Tensor, cache: LinearReLUCache) -> tuple[Tensor, Tensor, Tensor]:
        """Carry the gradient from the output to x, w and b.

        Args:
            dout: Gradient with respect to the output, of shape (N, H).
            cache: What `forward` returned.

        Returns:
            dx of the shape of x, dw of shape (D, H), db of shape (H,).
        """
        linear_cache, relu_cache = cache
        return Linear.backward(ReLU.backward(dout, relu_cache), linear_cache)


class Dropout:
    """Inverted dropout: units are set to 0 at random, the others made larger.

    Its expected output is its input, so that nothing is to be scaled in test mode
    (Srivastava et al., Dropout, 2014, sections 4 and 10).
    """

    @staticmethod
    def forward(
        x: Tensor, p: float, generator: torch.Generator | None
    ) -> tuple[Tensor, DropoutCache]:
        """Compute `out = x * mask`, where mask is 0 or 1 / (1 - p).

        Args:
            x: Input, of any shape.
            p: The probability with which an entry is dropped, 0 <= p < 1.
            generator: Source of the mask in train mode, on the CPU; None is the test
                mode, in which the output is the input.

        Returns:
            The output, of the shape of x, and the cache: the mask, None in test mode.

        Raises:
            ValueError: p is out of its range.
        """
        Dropout.check_probability(p)
        if generator is None:
            return x, None
        mask = Dropout.draw_kept(x.shape, p, generator).to(x.device, x.dtype) / (1 - p)
        return x * mask, mask

    @staticmethod
    def draw_kept(shape: Sequence[int], p: float, generator: torch.Generator) -> Tensor:
        """Draw which entries are kept.

        Args:
            shape: That of the layer's input.
            p: The probability with which an entry is dropped, 0 <= p < 1.
            generator: Source of the draw, on the CPU.

        Returns:
            True for an entry that is kept, of that shape, bool, on the CPU.
        """
        # In float32 on the CPU: the same entries in every dtype and on every device.
        return torch.rand(shape, generator=generator, dtype=torch.float32) >= p

    @staticmethod
    def backward(dout: Tensor, cache: DropoutCache) -> Tensor:
        """Carry the gradient from the output to x.

        Args:
            dout: Gradient with respect to the output, of the shape of x.
            cache: What `forward` returned.

        Returns:
            dx, of the shape of x.
        """
        return dout if cache is None else dout * cache  # dx = dout * mask

    @staticmethod
    def check_probability(p: float) -> None:
        """Raise a ValueError unless p is a probability of dropping, 0 <= p < 1."""
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be >= 0 and < 1, but got {p}")
