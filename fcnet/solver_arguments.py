"""Checks of what a Solver is given; a message names the argument and the limits.

Letters: N examples.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from fcnet.preprocess import Preprocess
from fcnet.schedules import Schedule, make_schedule
from fcnet.update_rules import (
    UPDATE_RULES,
    Config,
    UpdateRule,
    default_learning_rate,
)

DATA_KEYS = ("X_train", "y_train", "X_val", "y_val")


def check_data(
    data: Mapping[str, Tensor],
    device: str | torch.device,
    preprocess: Preprocess | None,
) -> dict[str, Tensor]:
    """Check both splits and bring them to the device.

    Args:
        data: X_train and X_val, of shape (N, d_1, ..., d_k), y_train and y_val, of
            shape (N,), int64, not negative; N of each split is at least 1.
        device: Where training happens.
        preprocess: What makes inputs of the examples; None if they are inputs.

    Returns:
        The four tensors on that device; one that lies there already is not copied.

    Raises:
        ValueError: A tensor is missing, empty, misshapen, or has a negative label.
        TypeError: An entry is not a tensor, labels are not int64, or the examples are
            of a dtype that they cannot be trained on as they are.
    """
    missing = [key for key in DATA_KEYS if key not in data]
    if missing:
        raise ValueError(f"data must have {DATA_KEYS}, but has no {missing}")
    for key in DATA_KEYS:
        if not isinstance(data[key], Tensor):
            found = type(data[key]).__name__
            raise TypeError(f"data[{key!r}] must be a tensor, but got {found}")
    for split in ("train", "val"):
        X_name, y_name = f"X_{split}", f"y_{split}"
        check_split(X_name, data[X_name], y_name, data[y_name])
        _check_examples(X_name, data[X_name], preprocess)
    return {key: data[key].to(device) for key in DATA_KEYS}


def check_split(X_name: str, X: Tensor, y_name: str, y: Tensor) -> None:
    """Raise unless X (N, d_1, ..., d_k) and y (N,) belong together and N >= 1.

    Raises:
        ValueError: They are empty or misshapen, or a label is negative.
        TypeError: Labels are not int64.
    """
    if X.dim() < 2 or y.shape != X.shape[:1]:
        raise ValueError(
            f"{X_name} must be (N, D) and {y_name} (N,), but got "
            f"{tuple(X.shape)} and {tuple(y.shape)}"
        )
    if not len(X):
        raise ValueError(f"{X_name} must have at least 1 example, but it is empty")
    if y.dtype != torch.int64:
        raise TypeError(f"{y_name} must be int64, but got {y.dtype}")
    if int(y.min()) < 0:
        raise ValueError(f"{y_name} must be >= 0, but has a label {int(y.min())}")


def fit_preprocess(
    preprocess: Preprocess | None,
    params: Mapping[str, Tensor],
    device: str | torch.device,
) -> Preprocess | None:
    """Bring what makes inputs to the device, in the dtype of the parameters."""
    if preprocess is None:
        return None
    return preprocess.to(device, next(iter(params.values())).dtype)


def _check_examples(name: str, X: Tensor, preprocess: Preprocess | None) -> None:
    """Raise unless examples X (N, d_1, ..., d_k) are inputs or can be made so."""
    if preprocess is None:
        if not X.is_floating_point():
            raise TypeError(
                f"{name} must be floating where nothing preprocesses it, but got "
                f"{X.dtype}; cast it, or give preprocess"
            )
        return
    size, shape = math.prod(X.shape[1:]), preprocess.image_shape
    if size != math.prod(shape):
        raise ValueError(
            f"{name} must have {math.prod(shape)} values an example, as preprocess has "
            f"them for images {shape}, but has {size}"
        )


def check_counts(lowest: int, **counts: int | None) -> None:
    """Raise unless every count that is given is an integer of at least `lowest`.

    Raises:
        TypeError: A count is not an integer.
        ValueError: A count is too small.
    """
    for name, count in counts.items():
        if count is None:
            continue
        if not isinstance(count, int):
            found = type(count).__name__
            raise TypeError(f"{name} must be an integer, but got {found} {count!r}")
        if count < lowest:
            raise ValueError(f"{name} must be at least {lowest}, but got {count}")


def check_rate(name: str, rate: float) -> float:
    """Return a rate if it is finite and not negative, raise a ValueError if not."""
    if not (math.isfinite(rate) and rate >= 0):
        raise ValueError(f"{name} must be finite and >= 0, but got {rate}")
    return rate


def find_update_rule(update_rule: str | UpdateRule) -> UpdateRule:
    """Return a rule given itself or its name.

    Raises:
        ValueError: No rule has that name; the message lists those that are there.
        TypeError: It is neither a name nor a function.
    """
    if callable(update_rule):
        return update_rule
    if not isinstance(update_rule, str):
        found = type(update_rule).__name__
        raise TypeError(f"update_rule must be a name or a function, but got {found}")
    if update_rule not in UPDATE_RULES:
        allowed = ", ".join(sorted(UPDATE_RULES))
        raise ValueError(f"update_rule must be one of {allowed}, got {update_rule!r}")
    return UPDATE_RULES[update_rule]


def find_schedule(schedule: str | Schedule, lr_decay: float) -> Schedule | None:
    """Return a schedule given itself or its name; None for `exponential`.

    Raises:
        ValueError: No schedule has that name, or it makes no use of lr_decay.
        TypeError: It is neither a name nor a function.
    """
    if schedule == "exponential":
        return None
    if lr_decay != 1:
        raise ValueError(
            f"lr_decay is for the exponential schedule alone, but got {lr_decay} with "
            f"schedule {schedule!r}; leave it at 1"
        )
    if callable(schedule):
        return schedule
    if not isinstance(schedule, str):
        found = type(schedule).__name__
        raise TypeError(f"schedule must be a name or a function, but got {found}")
    return make_schedule(schedule)


def initial_config(
    update_rule: UpdateRule, optim_config: Mapping[str, float] | None
) -> Config:
    """Return a rule's settings, with a learning rate in any case: its own default.

    Raises:
        ValueError: The learning rate is negative or not finite.
    """
    default = {"learning_rate": default_learning_rate(update_rule)}
    config = {**default, **(optim_config or {})}
    check_rate("optim_config['learning_rate']", config["learning_rate"])
    return config
