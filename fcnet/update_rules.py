"""Update rules: how weights move along their gradient.

A rule is a pure function `(w, dw, config) -> (next_w, next_config)`. The config holds
settings (plain numbers) and state (tensors of w's shape) of one parameter; the next
call gets the config that the last one returned. A rule changes none of its arguments.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

Config = Mapping[str, float | int | Tensor]
UpdateRule = Callable[[Tensor, Tensor, Config], tuple[Tensor, Config]]

DEFAULT_LEARNING_RATE = 1e-2
DEFAULT_ADAM_LEARNING_RATE = 1e-3


def sgd(w: Tensor, dw: Tensor, config: Config) -> tuple[Tensor, Config]:
    """Take one step of stochastic gradient descent.

    w' = w - learning_rate * dw (Goodfellow et al., Deep Learning, 2016, algorithm 8.1).

    Args:
        w: Weights, of any shape.
        dw: Gradient of the loss with respect to w, of w's shape.
        config: `learning_rate`, default 1e-2.

    Returns:
        The next weights, of w's shape, and the next config.
    """
    config = {"learning_rate": DEFAULT_LEARNING_RATE, **config}
    rate = float(config["learning_rate"])
    return torch.sub(w, dw, alpha=rate), config  # w' = w - learning_rate dw


def sgd_momentum(w: Tensor, dw: Tensor, config: Config) -> tuple[Tensor, Config]:
    """Take one step of stochastic gradient descent with momentum.

    v' = momentum * v - learning_rate * dw and w' = w + v' (Goodfellow et al., Deep
    Learning, 2016, algorithm 8.2).

    Args:
        w: Weights, of any shape.
        dw: Gradient of the loss with respect to w, of w's shape.
        config: `learning_rate`, default 1e-2; `momentum`, default 0.9; `velocity`, v
            of w's shape, zero at first.

    Returns:
        The next weights, of w's shape, and the next config.
    """
    config = {"learning_rate": DEFAULT_LEARNING_RATE, "momentum": 0.9, **config}
    momentum, rate = float(config["momentum"]), float(config["learning_rate"])
    velocity = momentum * _state(config, "velocity", w) - rate * dw
    return w + velocity, {**config, "velocity": velocity}  # w' = w + v'


def rmsprop(w: Tensor, dw: Tensor, config: Config) -> tuple[Tensor, Config]:
    """Take one step of RMSProp: each weight has a rate of its own.

    c' = decay_rate * c + (1 - decay_rate) * dw^2 and
    w' = w - learning_rate * dw / (sqrt(c') + epsilon) (Tieleman and Hinton, Neural
    Networks for Machine Learning, 2012, lecture 6.5).

    Args:
        w: Weights, of any shape.
        dw: Gradient of the loss with respect to w, of w's shape.
        config: `learning_rate`, default 1e-2; `decay_rate`, default 0.99; `epsilon`,
            default 1e-8; `cache`, c of w's shape, zero at first.

    Returns:
        The next weights, of w's shape, and the next config.
    """
    defaults = {"learning_rate": DEFAULT_LEARNING_RATE, "decay_rate": 0.99}
    config = {**defaults, "epsilon": 1e-8, **config}
    rate, epsilon = float(config["learning_rate"]), float(config["epsilon"])
    cache = _average(_state(config, "cache", w), dw.square(), config["decay_rate"])
    step = dw / (cache.sqrt() + epsilon)  # outside the root, as the course has it
    return torch.sub(w, step, alpha=rate), {**config, "cache": cache}


def adam(w: Tensor, dw: Tensor, config: Config) -> tuple[Tensor, Config]:
    """Take one step of Adam (Kingma and Ba, 2015, algorithm 1).

    Args:
        w: Weights, of any shape.
        dw: Gradient of the loss with respect to w, of w's shape.
        config: `learning_rate`, default 1e-3; `beta1`, default 0.9; `beta2`, default
            0.999; `epsilon`, default 1e-8; `m` and `v` of w's shape, zero at first;
            `t`, the steps taken, 0 at first.

    Returns:
        The next weights, of w's shape, and the next config.
    """
    defaults = {"learning_rate": DEFAULT_ADAM_LEARNING_RATE, "epsilon": 1e-8}
    config = {**defaults, "beta1": 0.9, "beta2": 0.999, "t": 0, **config}
    rate, epsilon = float(config["learning_rate"]), float(config["epsilon"])
    t = int(config["t"]) + 1
    m = _average(_state(config, "m", w), dw, config["beta1"])
    v = _average(_state(config, "v", w), dw.square(), config["beta2"])
    # Both averages start at 0 and are too small at first, by a factor that is known.
    m_hat = m / (1 - float(config["beta1"]) ** t)
    v_hat = v / (1 - float(config["beta2"]) ** t)
    step = m_hat / (v_hat.sqrt() + epsilon)
    return torch.sub(w, step, alpha=rate), {**config, "m": m, "v": v, "t": t}


UPDATE_RULES: Mapping[str, UpdateRule] = MappingProxyType(
    {"sgd": sgd, "sgd_momentum": sgd_momentum, "rmsprop": rmsprop, "adam": adam}
)


def default_learning_rate(update_rule: UpdateRule) -> float:
    """Return the learning rate that a rule takes where its config has none.

    Args:
        update_rule: A rule of this file, or any other: 1e-2 for that.

    Returns:
        The learning rate.
    """
    if update_rule is adam:
        return DEFAULT_ADAM_LEARNING_RATE
    return DEFAULT_LEARNING_RATE


def _state(config: Config, entry: str, w: Tensor) -> Tensor:
    """Return a tensor of the config, zeros of w's shape if it is not there yet."""
    value = config.get(entry)
    return value if isinstance(value, Tensor) else torch.zeros_like(w)


def _average(old: Tensor, new: Tensor, decay: float | Tensor) -> Tensor:
    """Return the moving average `decay * old + (1 - decay) * new`."""
    return float(decay) * old + (1 - float(decay)) * new
