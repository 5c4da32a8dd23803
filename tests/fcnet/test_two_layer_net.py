"""The two-layer net: its gradients, its initial weights, its arguments."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from fcnet.gradient_check import numeric_gradient, relative_error
from fcnet.two_layer_net import TwoLayerNet


def toy(reg: float = 0.0, n: int = 5) -> tuple[TwoLayerNet, Tensor, Tensor]:
    """Make a float64 net of sizes D=6, H=7, C=3 with n examples of shape (2, 3)."""
    net = TwoLayerNet(6, 7, 3, 0.5, reg, torch.float64, seed=1)
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(n, 2, 3, generator=generator, dtype=torch.float64)
    return net, X, torch.randint(3, (n,), generator=generator)


@pytest.mark.parametrize("reg", [0.0, 0.7])
@pytest.mark.parametrize("n", [1, 5])
def test_gradients_agree_with_finite_differences(reg: float, n: int) -> None:
    """Each parameter's gradient is that of a centred difference."""
    net, X, y = toy(reg, n)
    _, grads = net.loss(X, y)
    assert list(grads) == list(net.params)
    for name, w in net.params.items():
        expected = numeric_gradient(lambda _: net.loss(X, y)[0], w)
        assert relative_error(grads[name], expected) < 1e-7


@pytest.mark.parametrize("reg", [0.0, 0.7])
def test_loss_and_gradients_agree_with_autograd(reg: float) -> None:
    """Scores, loss and gradients are those of the same net in torch's own words."""
    net, X, y = toy(reg)
    leaves = {k: v.clone().requires_grad_() for k, v in net.params.items()}
    hidden = (X.flatten(1) @ leaves["W1"] + leaves["b1"]).relu()
    scores = hidden @ leaves["W2"] + leaves["b2"]
    penalty = sum((leaves[k] ** 2).sum() for k in ("W1", "W2"))
    expected = torch.nn.functional.cross_entropy(scores, y) + reg * penalty
    expected_grads = torch.autograd.grad(expected, list(leaves.values()))
    loss, grads = net.loss(X, y)
    close = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
    close(net.loss(X), scores.detach())
    close(loss, expected.detach())
    for name, gradient in zip(leaves, expected_grads, strict=True):
        close(grads[name], gradient)


def test_loss_changes_neither_parameters_nor_input() -> None:
    """Computing a loss leaves everything as it was."""
    net, X, y = toy(0.1)
    before = {k: v.clone() for k, v in net.params.items()} | {"X": X.clone()}
    net.loss(X, y)
    for name, tensor in {**net.params, "X": X}.items():
        assert torch.equal(tensor, before[name])


def test_shapes_and_initial_values() -> None:
    """Weights have the scale asked for, biases are zero, shapes are the course's."""
    params = TwoLayerNet(300, 200, 4, 0.01, seed=0).params
    shapes = {k: tuple(v.shape) for k, v in params.items()}
    assert shapes == {"W1": (300, 200), "b1": (200,), "W2": (200, 4), "b2": (4,)}
    assert params["W1"].std().item() == pytest.approx(0.01, rel=0.02)
    assert not params["b1"].any()
    assert not params["b2"].any()


def test_small_weights_start_at_log_c() -> None:
    """A net of tiny weights prefers no class."""
    net = TwoLayerNet(12, 5, weight_scale=1e-6, seed=0)
    loss, _ = net.loss(torch.rand(8, 12), torch.arange(8))
    assert loss.item() == pytest.approx(math.log(10), abs=1e-4)


def test_a_seed_gives_the_same_weights_in_every_dtype() -> None:
    """float32 weights are the float64 weights, rounded."""
    single = TwoLayerNet(6, 5, 3, seed=3).params
    double = TwoLayerNet(6, 5, 3, dtype=torch.float64, seed=3).params
    other = TwoLayerNet(6, 5, 3, seed=4).params
    assert torch.equal(single["W1"], double["W1"].float())
    assert not torch.equal(single["W1"], other["W1"])
    assert not torch.equal(single["W1"].view(-1)[:15], single["W2"].view(-1))


def test_only_a_net_without_seed_touches_the_global_generator() -> None:
    """With a seed the global generator stays where it is; without, it is used."""
    before = torch.get_rng_state()
    TwoLayerNet(6, 5, 3, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    one = TwoLayerNet(6, 5, 3).params["W1"]
    torch.manual_seed(0)
    assert torch.equal(one, TwoLayerNet(6, 5, 3).params["W1"])
    torch.set_rng_state(before)


def test_input_is_cast_to_the_model_dtype() -> None:
    """A float64 net takes float32 examples, as they come from a data set."""
    net, X, y = toy()
    loss, _ = net.loss(X.float(), y)
    assert loss.dtype == torch.float64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_dim": 0}, "input_dim must be at least 1, but got 0"),
        ({"hidden_dim": -1}, "hidden_dim"),
        ({"num_classes": 0}, "num_classes"),
        ({"weight_scale": -1.0}, "weight_scale must be finite and >= 0"),
        ({"reg": math.nan}, "reg"),
        ({"dtype": torch.int64}, "dtype must be floating"),
    ],
)
def test_impossible_arguments_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """An argument out of range is an error that names it."""
    with pytest.raises(ValueError, match=message):
        TwoLayerNet(**arguments)
