"""Layers: every backward against finite differences and against torch's autograd."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fcnet.gradient_check import numeric_gradient, relative_error
from fcnet.layers import Dropout, Linear, Linear_ReLU, ReLU

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


def generator() -> torch.Generator:
    """Make a generator that draws the same each time."""
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("shape", [(1, 1), (6, 5), (2, 3, 4)])
def test_dropout_backward_agrees_with_both_oracles(
    shape: tuple[int, ...], p: float
) -> None:
    """With a mask that stays, the gradient is that of differences and of autograd."""
    x, dout = draw(*shape), draw(*shape, seed=1)
    _, cache = Dropout.forward(x, p, generator())
    dx = Dropout.backward(dout, cache)
    numeric = numeric_gradient(lambda x: Dropout.forward(x, p, generator())[0], x, dout)
    torch.testing.assert_close(dx, numeric, rtol=1e-8, atol=1e-8)
    keep = torch.rand(shape, generator=generator()) >= p

    def reference(x: Tensor) -> Tensor:
        return torch.where(keep, x, 0) / (1 - p)

    expected = autograd(reference, (x,), dout)[0]
    torch.testing.assert_close(dx, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    """A share of p is 0, the rest is larger by 1 / (1 - p), the mean stays."""
    out, _ = Dropout.forward(torch.ones(400, 500), p, generator())
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    assert out.mean().item() == pytest.approx(1, abs=0.03)
    kept = out[out != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))


def test_dropout_in_test_mode_is_the_identity() -> None:
    """Without a generator nothing is dropped, forward and backward."""
    x = draw(3, 4)
    out, cache = Dropout.forward(x, 0.9, None)
    assert torch.equal(out, x)
    assert torch.equal(Dropout.backward(x, cache), x)


def test_dropout_drops_the_same_in_every_dtype() -> None:
    """One generator gives one mask, whatever the dtype, and leaves the input as is."""
    x = torch.ones(20, 30)
    single, _ = Dropout.forward(x, 0.5, generator())
    double, _ = Dropout.forward(x.double(), 0.5, generator())
    assert torch.equal(single.double(), double)
    assert torch.equal(x, torch.ones(20, 30))


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_an_impossible_probability_is_refused(p: float) -> None:
    """Dropping everything, or less than nothing, is an error."""
    with pytest.raises(ValueError, match="dropout must be >= 0 and < 1"):
        Dropout.forward(draw(2), p, generator())
