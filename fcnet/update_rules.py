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


UPDATE_RULES: Mapping[str, UpdateRule] = MappingProxyType({"sgd": sgd})
