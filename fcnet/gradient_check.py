"""Gradients by finite differences, the referee of every backward pass."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor


@torch.no_grad()
def numeric_gradient(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    dout: Tensor | None = None,
    h: float = 1e-6,
) -> Tensor:
    """Estimate the gradient of `sum(f(x) * dout)` by centred differences.

    dx[i] = sum(dout * (f(x + h e_i) - f(x - h e_i))) / (2 h), with an error of O(h^2)
    (Press et al., Numerical Recipes, 2007, equation 5.7.7).

    The entries of x itself are moved one after another and put back, so f may read x
    through its argument or through a model that holds x.

    Args:
        f: A function of a tensor of x's shape that returns a tensor.
        x: Where the gradient is taken; float64, any shape; on return as it was.
        dout: Gradient with respect to f(x), of its shape; ones if not given.
        h: Half the distance of the two points.

    Returns:
        The gradient, of x's shape, float64.

    Raises:
        TypeError: x is not float64: the difference would drown in rounding.
    """
    if x.dtype != torch.float64:
        raise TypeError(f"x must be float64, but got {x.dtype}; use x.double()")
    gradient = torch.zeros_like(x)
    for index in product(*map(range, x.shape)):
        difference = _difference(f, x, index, h)
        weighted = difference if dout is None else difference * dout
        gradient[index] = weighted.sum() / (2 * h)
    return gradient


def _difference(
    f: Callable[[Tensor], Tensor], x: Tensor, index: tuple[int, ...], h: float
) -> Tensor:
    """Return f(x + h e_i) - f(x - h e_i), of f's shape, and put x[i] back."""
    # A copy: x[index] is a view, which would move with x.
    middle = x[index].clone()
    try:
        x[index] = middle + h
        # A copy again: f may return its argument, which moves in the next line.
        above = f(x).clone()
        x[index] = middle - h
        return above - f(x)
    finally:
        x[index] = middle


def relative_error(a: Tensor, b: Tensor) -> float:
    """Compare two tensors: `max|a - b| / (max|a| + max|b|)`.

    Args:
        a: A tensor of any shape that is not empty.
        b: A tensor of the same shape.

    Returns:
        A number from 0 (equal) to 1; 0 if both are zero; nan if either holds a nan.

    Raises:
        ValueError: The shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"a and b must have one shape, but got {tuple(a.shape)} and "
            f"{tuple(b.shape)}"
        )
    scale = float(a.abs().max() + b.abs().max())
    return float((a - b).abs().max()) / scale if scale else 0.0
