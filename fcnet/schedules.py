"""Learning-rate schedules: by what a rule's learning rate is multiplied in each epoch.

A schedule is a pure function `(epoch, num_epochs) -> factor` of the epochs that are
finished, from 0, and the epochs in all. It keeps no state, so none is saved.
"""

import math
from collections.abc import Callable

Schedule = Callable[[int, int], float]

SCHEDULES = ("constant", "exponential", "step", "cosine")


def constant(epoch: int, num_epochs: int) -> float:
    """Return 1 for every epoch."""
    return 1.0


def exponential(lr_decay: float) -> Schedule:
    """Make the schedule `lr_decay ** epoch`.

    Args:
        lr_decay: The factor of one epoch, finite and >= 0.

    Returns:
        The schedule.

    Raises:
        ValueError: lr_decay is out of its range.
    """
    _check_factor("lr_decay", lr_decay)
    return lambda epoch, num_epochs: lr_decay**epoch


def step(step_every: int, step_factor: float) -> Schedule:
    """Make the schedule `step_factor ** (epoch // step_every)`.

    Args:
        step_every: Epochs from one step to the next, at least 1.
        step_factor: The factor of one step, finite and >= 0.

    Returns:
        The schedule.

    Raises:
        ValueError: An argument is out of its range.
    """
    if step_every < 1:
        raise ValueError(f"step_every must be at least 1, but got {step_every}")
    _check_factor("step_factor", step_factor)
    return lambda epoch, num_epochs: step_factor ** (epoch // step_every)


def cosine(epoch: int, num_epochs: int) -> float:
    """Return half a cosine: 1 at the start, 0 when all epochs are finished.

    (1 + cos(pi epoch / num_epochs)) / 2 (Loshchilov and Hutter, SGDR, 2017, equation 5
    with eta_min = 0 and no restart).

    Args:
        epoch: Finished epochs, from 0.
        num_epochs: Epochs in all.

    Returns:
        The factor.
    """
    return (1 + math.cos(math.pi * epoch / max(num_epochs, 1))) / 2


def warm_up(schedule: Schedule, warmup_epochs: int) -> Schedule:
    """Put a linear warm-up in front of a schedule (Goyal et al., 2017, section 2.2).

    The factors of its epochs are 1/(w+1), 2/(w+1), ..., w/(w+1) with w = warmup_epochs;
    then the schedule begins, with the epochs that are left.

    Args:
        schedule: What follows.
        warmup_epochs: Epochs of the warm-up, >= 0; 0 gives the schedule itself.

    Returns:
        The schedule with its warm-up.

    Raises:
        ValueError: warmup_epochs is negative.
    """
    if warmup_epochs < 0:
        raise ValueError(f"warmup_epochs must be >= 0, but got {warmup_epochs}")

    def warmed(epoch: int, num_epochs: int) -> float:
        if epoch < warmup_epochs:
            return (epoch + 1) / (warmup_epochs + 1)
        return schedule(epoch - warmup_epochs, num_epochs - warmup_epochs)

    return warmed


def make_schedule(
    name: str,
    *,
    lr_decay: float = 1.0,
    step_every: int = 10,
    step_factor: float = 0.1,
    warmup_epochs: int = 0,
) -> Schedule:
    """Make a schedule from its name and plain numbers, as a settings file has them.

    Args:
        name: One of SCHEDULES.
        lr_decay: For `exponential`: the factor of one epoch.
        step_every: For `step`: epochs from one step to the next.
        step_factor: For `step`: the factor of one step.
        warmup_epochs: Epochs of linear warm-up in front of it.

    Returns:
        The schedule.

    Raises:
        ValueError: The name is unknown, or a number is out of its range.
    """
    schedules: dict[str, Schedule] = {
        "constant": constant,
        "exponential": exponential(lr_decay),
        "step": step(step_every, step_factor),
        "cosine": cosine,
    }
    if name not in schedules:
        allowed = ", ".join(SCHEDULES)
        raise ValueError(f"schedule must be one of {allowed}, got {name!r}")
    return warm_up(schedules[name], warmup_epochs)


def _check_factor(name: str, factor: float) -> None:
    """Raise a ValueError unless a factor is finite and not negative."""
    if not (math.isfinite(factor) and factor >= 0):
        raise ValueError(f"{name} must be finite and >= 0, but got {factor}")
