"""The fully connected net: gradients at every depth, dropout, initial weights."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.generators import Stream, make_generator
from fcnet.gradient_check import numeric_gradient
from fcnet.solver import Solver
from fcnet.two_layer_net import TwoLayerNet

DEPTHS = [(), (7,), (5, 4), (4, 3, 5)]


def toy(
    hidden_dims: tuple[int, ...], reg: float = 0.0, dropout: float = 0.0
) -> tuple[FullyConnectedNet, Tensor, Tensor]:
    """Make a float64 net of D=6 and C=3, and 5 examples of shape (2, 3)."""
    net = FullyConnectedNet(
        hidden_dims, 6, 3, dropout, reg, 0.5, seed=1, dtype=torch.float64
    )
    generator = torch.Generator().manual_seed(0)
    for name, w in net.params.items():
        if name.startswith("b"):
            w.normal_(generator=generator)
    X = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64)
    return net, X, torch.randint(3, (5,), generator=generator)


def masks(net: FullyConnectedNet, key: tuple[int, int, int]) -> list[Tensor | float]:
    """Draw the masks that an iteration of a net with dropout is to have."""
    if not net.dropout:
        return [1.0] * (net.num_layers - 1)
    generator = make_generator(key[0], Stream.DROPOUT, *key[1:])
    sizes = [len(net.params[f"b{layer}"]) for layer in range(1, net.num_layers)]
    drawn = [torch.rand(5, size, generator=generator) for size in sizes]
    return [(r >= net.dropout).double() / (1 - net.dropout) for r in drawn]


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("reg", [0.0, 0.7])
@pytest.mark.parametrize("hidden_dims", DEPTHS)
def test_gradients_agree_with_finite_differences(
    hidden_dims: tuple[int, ...], reg: float, dropout: float
) -> None:
    """At every depth each parameter's gradient is that of a centred difference."""
    net, X, y = toy(hidden_dims, reg, dropout)
    net.start_iteration(3, 2, 1)
    _, grads = net.loss(X, y)
    assert list(grads) == list(net.params)
    for name, w in net.params.items():
        expected = numeric_gradient(lambda _: net.loss(X, y)[0], w)
        assert grads[name].shape == w.shape
        torch.testing.assert_close(grads[name], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("reg", [0.0, 0.7])
@pytest.mark.parametrize("hidden_dims", DEPTHS)
def test_loss_and_gradients_agree_with_autograd(
    hidden_dims: tuple[int, ...], reg: float, dropout: float
) -> None:
    """Loss and gradients are those of the same net in torch's own words."""
    net, X, y = toy(hidden_dims, reg, dropout)
    net.start_iteration(3, 2, 1)
    leaves = {k: v.clone().requires_grad_() for k, v in net.params.items()}
    out = X.flatten(1)
    for layer, mask in enumerate(masks(net, (3, 2, 1)), 1):
        out = (out @ leaves[f"W{layer}"] + leaves[f"b{layer}"]).relu() * mask
    scores = out @ leaves[f"W{net.num_layers}"] + leaves[f"b{net.num_layers}"]
    penalty = sum((w**2).sum() for name, w in leaves.items() if name.startswith("W"))
    expected = torch.nn.functional.cross_entropy(scores, y) + reg * penalty
    expected_grads = torch.autograd.grad(expected, list(leaves.values()))
    loss, grads = net.loss(X, y)
    close = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
    close(loss, expected.detach())
    for name, gradient in zip(leaves, expected_grads, strict=True):
        close(grads[name], gradient)


def test_one_hidden_layer_is_the_two_layer_net() -> None:
    """The same sizes and seed give the same weights, loss and gradients."""
    net = FullyConnectedNet([7], 6, 3, reg=0.1, weight_scale=0.5, seed=4)
    two = TwoLayerNet(6, 7, 3, 0.5, 0.1, seed=4)
    X, y = torch.ones(2, 6), torch.tensor([0, 2])
    assert all(torch.equal(net.params[k], v) for k, v in two.params.items())
    (loss, grads), (expected, expected_grads) = net.loss(X, y), two.loss(X, y)
    assert torch.equal(loss, expected)
    assert all(torch.equal(grads[k], v) for k, v in expected_grads.items())


def test_shapes_and_initial_values() -> None:
    """Layers are numbered from 1, weights have the scale asked for, biases are zero."""
    net = FullyConnectedNet([200, 100], 300, 4, weight_scale=0.05, seed=0)
    shapes = {k: tuple(v.shape) for k, v in net.params.items()}
    weights = {"W1": (300, 200), "W2": (200, 100), "W3": (100, 4)}
    assert net.num_layers == 3
    assert shapes == weights | {"b1": (200,), "b2": (100,), "b3": (4,)}
    assert net.params["W2"].std().item() == pytest.approx(0.05, rel=0.02)
    assert not any(net.params[f"b{layer}"].any() for layer in (1, 2, 3))


def test_weights_are_consecutive_draws_of_the_seed() -> None:
    """W1, W2 and W3 come one after the other from the generator of initial weights."""
    net = FullyConnectedNet([5, 4], 6, 3, weight_scale=0.5, seed=8, dtype=torch.float64)
    generator = make_generator(8, Stream.INITIAL_WEIGHTS)
    for name in ("W1", "W2", "W3"):
        shape = net.params[name].shape
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        assert torch.equal(net.params[name], 0.5 * drawn)


def test_scores_are_computed_with_every_unit() -> None:
    """Evaluation drops nothing: scores are those of the same net without dropout."""
    (dropping, X, _), (whole, _, _) = toy((5, 4), dropout=0.5), toy((5, 4))
    assert torch.equal(dropping.loss(X), whole.loss(X))


def test_masks_change_with_seed_epoch_and_iteration() -> None:
    """Each of the three gives other masks, and the same three the same again."""
    net, X, y = toy((20,), dropout=0.5)
    losses = []
    for key in ((0, 1, 1), (1, 1, 1), (0, 2, 1), (0, 1, 2), (0, 1, 1)):
        net.start_iteration(*key)
        losses.append(net.loss(X, y)[0].item())
    assert len(set(losses)) == 4
    assert losses[0] == losses[-1]


def make_solver() -> Solver:
    """Make a solver of a net with dropout: 23 examples, batches of 5, 3 epochs."""
    generator = torch.Generator().manual_seed(0)
    X, X_val = (torch.randn(n, 3, generator=generator) for n in (23, 9))
    data = {"X_train": X, "X_val": X_val}
    labels = {"y_train": X.argmax(dim=1), "y_val": X_val.argmax(dim=1)}
    net = FullyConnectedNet([8, 6], 3, 3, 0.3, 1e-3, 0.3, seed=1)
    arguments: dict[str, Any] = {"optim_config": {"learning_rate": 0.5}}
    return Solver(
        net, data | labels, batch_size=5, num_epochs=3, verbose=False, **arguments
    )


@pytest.mark.parametrize("iterations", [0, 5, 7, 12])
def test_a_run_with_dropout_is_restored_bit_for_bit(iterations: int) -> None:
    """Stopped after any iteration and loaded elsewhere, a run draws the same masks."""
    unbroken, first, second = (make_solver() for _ in range(3))
    unbroken.train(return_best_params=False)
    seconds = iter(range(99))
    first.train(iterations, return_best_params=False, clock=lambda: next(seconds))
    second.load_state_dict(first.state_dict())
    second.train(return_best_params=False)
    assert second.loss_history == unbroken.loss_history
    for name, w in unbroken.model.params.items():
        assert torch.equal(second.model.params[name], w)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dims": [5, 0]}, r"hidden_dims\[1\] must be at least 1, but got 0"),
        ({"input_dim": 0}, "input_dim"),
        ({"num_classes": 0}, "num_classes"),
        ({"dropout": 1.0}, "dropout must be >= 0 and < 1, but got 1.0"),
        ({"weight_scale": math.inf}, "weight_scale must be finite and >= 0"),
        ({"reg": -1.0}, "reg"),
        ({"dtype": torch.int64}, "dtype must be floating"),
    ],
)
def test_impossible_arguments_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """An argument out of range is an error that names it."""
    with pytest.raises(ValueError, match=message):
        FullyConnectedNet(**({"hidden_dims": [5]} | arguments))
