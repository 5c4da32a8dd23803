"""The gradient check itself, against derivatives known by heart."""

import pytest
import torch
from torch import Tensor

from fcnet.gradient_check import numeric_gradient, relative_error


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (2, 1, 2)])
def test_gradient_of_a_cube_is_three_squares(shape: tuple[int, ...]) -> None:
    """d/dx x^3 = 3 x^2, in every shape."""
    x = torch.full(shape, 0.7, dtype=torch.float64)
    gradient = numeric_gradient(lambda x: x**3, x)
    assert relative_error(gradient, 3 * x**2) < 1e-9


def test_dout_weighs_the_outputs() -> None:
    """The gradient of 2 x is 2 dout."""
    x = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64).T
    dout = torch.tensor([[5.0], [0.0], [-1.0]], dtype=torch.float64)
    assert relative_error(numeric_gradient(lambda x: 2 * x, x, dout), 2 * dout) < 1e-9


def test_a_function_may_return_its_argument() -> None:
    """The identity has the gradient 1, though its result is x itself."""
    x = torch.zeros(3, dtype=torch.float64)
    gradient = numeric_gradient(lambda x: x, x)
    assert relative_error(gradient, torch.ones_like(x)) < 1e-9


def test_x_is_as_before_even_after_an_error() -> None:
    """Every bit of x is put back, also when f raises."""
    x = torch.tensor([0.1, 0.2], dtype=torch.float64)
    before = x.clone()
    numeric_gradient(torch.exp, x)
    assert torch.equal(x, before)

    def fail(_: Tensor) -> Tensor:
        raise LookupError

    with pytest.raises(LookupError):
        numeric_gradient(fail, x)
    assert torch.equal(x, before)


def test_float32_is_refused() -> None:
    """A dtype in which differences drown is an error that says what to do."""
    with pytest.raises(TypeError, match=r"use x\.double"):
        numeric_gradient(torch.exp, torch.zeros(2))


def test_relative_error_of_known_pairs() -> None:
    """Equal is 0, opposite is 1, zeros are equal, shapes must agree."""
    one = torch.ones(2)
    assert relative_error(one, one) == 0
    assert relative_error(one, -one) == 1
    assert relative_error(0 * one, 0 * one) == 0
    with pytest.raises(ValueError, match="one shape"):
        relative_error(one, torch.ones(3))
