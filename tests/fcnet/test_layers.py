"""Layers: every backward against finite differences and against torch's autograd."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fcnet.gradient_check import numeric_gradient, relative_error
from fcnet.layers import Linear, Linear_ReLU, ReLU

SHAPES = [((5, 2, 3), 4), ((1, 7), 3), ((3, 1), 1), ((4, 2, 1, 3), 2)]
LAYERS = [Linear, Linear_ReLU]
Layer = type[Linear] | type[Linear_ReLU]


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Draw a float64 tensor from an own generator."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def inputs(shape: tuple[int, ...], out: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw x, w, b and dout for an input of that shape and that many outputs."""
    dim = draw(*shape)[0].numel()
    return (
        draw(*shape),
        draw(dim, out, seed=1),
        draw(out, seed=2),
        draw(shape[0], out, seed=3),
    )


def autograd(
    f: Callable[..., Tensor], args: tuple[Tensor, ...], dout: Tensor
) -> tuple[Tensor, ...]:
    """Compute gradients with torch's autograd."""
    leaves = [arg.clone().requires_grad_() for arg in args]
    return torch.autograd.grad(f(*leaves), leaves, dout)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("shape", "out"), SHAPES)
def test_backward_agrees_with_finite_differences(
    layer: Layer, shape: tuple[int, ...], out: int
) -> None:
    """Each gradient of a layer is that of a centred difference."""
    x, w, b, dout = inputs(shape, out)
    _, cache = layer.forward(x, w, b)
    dx, dw, db = layer.backward(dout, cache)  # type: ignore[arg-type]
    for argument, gradient in ((x, dx), (w, dw), (b, db)):
        expected = numeric_gradient(lambda _: layer.forward(x, w, b)[0], argument, dout)
        assert gradient.shape == argument.shape
        assert relative_error(gradient, expected) < 1e-8


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("shape", "out"), SHAPES)
def test_backward_agrees_with_autograd(
    layer: Layer, shape: tuple[int, ...], out: int
) -> None:
    """Output and gradients of a layer are those of torch's own operations."""
    x, w, b, dout = inputs(shape, out)

    def reference(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        affine = torch.nn.functional.linear(x.reshape(len(x), -1), w.T, b)
        return affine if layer is Linear else affine.relu()

    result, cache = layer.forward(x, w, b)
    torch.testing.assert_close(result, reference(x, w, b), rtol=1e-12, atol=1e-12)
    found = layer.backward(dout, cache)  # type: ignore[arg-type]
    expected = autograd(reference, (x, w, b), dout)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (2, 3, 5)])
def test_relu_backward_agrees_with_both_oracles(shape: tuple[int, ...]) -> None:
    """The gradient of ReLU is that of differences and of autograd."""
    x, dout = draw(*shape), draw(*shape, seed=1)
    out, cache = ReLU.forward(x)
    dx = ReLU.backward(dout, cache)
    assert torch.equal(out, x.relu())
    assert relative_error(dx, numeric_gradient(torch.relu, x, dout)) < 1e-8
    assert torch.equal(dx, autograd(torch.relu, (x,), dout)[0])


def test_relu_has_no_gradient_at_zero() -> None:
    """At exactly 0 the gradient is 0, as torch has it."""
    zero = torch.zeros(2, 2, dtype=torch.float64)
    assert torch.equal(ReLU.backward(torch.ones_like(zero), zero), zero)


@pytest.mark.parametrize("layer", LAYERS)
def test_forward_and_backward_leave_inputs_unchanged(layer: Layer) -> None:
    """A layer changes none of the tensors it is given."""
    given_tensors = inputs((5, 2, 3), 4)
    before = [tensor.clone() for tensor in given_tensors]
    *args, dout = given_tensors
    _, cache = layer.forward(*args)
    layer.backward(dout, cache)  # type: ignore[arg-type]
    for tensor, copy in zip(given_tensors, before, strict=True):
        assert torch.equal(tensor, copy)


def test_shapes_that_do_not_fit_are_refused() -> None:
    """Weights for another number of inputs are an error."""
    with pytest.raises(RuntimeError, match="shapes"):
        Linear.forward(draw(2, 3), draw(4, 5), draw(5))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 999))
def test_linear_backward_is_the_adjoint_of_forward(
    n: int, d: int, h: int, seed: int
) -> None:
    """For every size, <dout, x W> equals <dx, x> and equals <dW, W>."""
    x, w = draw(n, d, seed=seed), draw(d, h, seed=seed + 1)
    dout = draw(n, h, seed=seed + 2)
    out, cache = Linear.forward(x, w, torch.zeros(h, dtype=torch.float64))
    dx, dw, _ = Linear.backward(dout, cache)
    expected = (out * dout).sum()
    torch.testing.assert_close((dx * x).sum(), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close((dw * w).sum(), expected, rtol=1e-9, atol=1e-9)
