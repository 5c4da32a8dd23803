"""Update rules: how weights move along their gradient.

A rule is a pure function `(w, dw, config) -> (next_w, next_config)`. The config holds
settings (plain numbers) and state (tensors of w's shape) of one parameter; the next
call gets the config that the last one returned. A rule changes none of its arguments.

The rules of this file work element by element, and a setting may as well be a tensor
that broadcasts to w: so weights of several networks, each with its own settings, move
in one call.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

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
    config = complete_config(sgd, config, w)
    return w - config["learning_rate"] * dw, config  # w' = w - learning_rate dw


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
    config = complete_config(sgd_momentum, config, w)
    velocity = config["momentum"] * config["velocity"] - config["learning_rate"] * dw
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
    config = complete_config(rmsprop, config, w)
    cache = _average(config["cache"], dw.square(), config["decay_rate"])
    # epsilon is outside the root, as the course has it
    step = dw / (cache.sqrt() + config["epsilon"])
    return w - config["learning_rate"] * step, {**config, "cache": cache}


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
    config = complete_config(adam, config, w)
    t = config["t"] + 1
    m = _average(config["m"], dw, config["beta1"])
    v = _average(config["v"], dw.square(), config["beta2"])
    # Both averages start at 0 and are too small at first, by a factor that is known.
    m_hat = m / (1 - config["beta1"] ** t)
    v_hat = v / (1 - config["beta2"] ** t)
    step = m_hat / (v_hat.sqrt() + config["epsilon"])
    return w - config["learning_rate"] * step, {**config, "m": m, "v": v, "t": t}


UPDATE_RULES: Mapping[str, UpdateRule] = MappingProxyType(
    {"sgd": sgd, "sgd_momentum": sgd_momentum, "rmsprop": rmsprop, "adam": adam}
)


# What a rule's config holds at first: settings and counters, and tensors that are zero.
_NUMBERS: Mapping[UpdateRule, Mapping[str, float]] = {
    sgd: {"learning_rate": DEFAULT_LEARNING_RATE},
    sgd_momentum: {"learning_rate": DEFAULT_LEARNING_RATE, "momentum": 0.9},
    rmsprop: {
        "learning_rate": DEFAULT_LEARNING_RATE,
        "decay_rate": 0.99,
        "epsilon": 1e-8,
    },
    adam: {
        "learning_rate": DEFAULT_ADAM_LEARNING_RATE,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "t": 0,
    },
}
_STATES: Mapping[UpdateRule, tuple[str, ...]] = {
    sgd: (),
    sgd_momentum: ("velocity",),
    rmsprop: ("cache",),
    adam: ("m", "v"),
}


def complete_config(
    update_rule: UpdateRule, config: Config, w: Tensor
) -> dict[str, Any]:
    """Add to a config what it does not have yet: defaults, and state that is zero.

    Args:
        update_rule: A rule of UPDATE_RULES.
        config: The config, which may be empty.
        w: Weights; state has their shape.

    Returns:
        The config with every entry that the rule reads.
    """
    complete = {**_NUMBERS[update_rule], **config}
    zero = {k: torch.zeros_like(w) for k in _STATES[update_rule] if k not in config}
    return complete | zero


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


def _average(old: Tensor, new: Tensor, decay: float | Tensor) -> Tensor:
    """Return the moving average `decay * old + (1 - decay) * new`."""
    return decay * old + (1 - decay) * new
