"""The saved state of a run: named tensors and plain numbers, no live objects.

Tensors are named `params.W1`, `best_params.W1` and `optim.W1.velocity`; numbers are
what JSON can hold. Both together survive `torch.load(..., weights_only=True)`.
"""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Protocol, TypedDict

from torch import Tensor

from fcnet.accuracy import Model
from fcnet.preprocess import Preprocess
from fcnet.update_rules import Config, UpdateRule


class Numbers(TypedDict):
    """The numbers of a run, as the Solver's attributes of these names.

    Attributes:
        optim: The numbers among the update rule's configs, by parameter and entry.
    """

    epoch: int
    iteration: int
    loss_history: list[float]
    train_acc_history: list[float]
    val_acc_history: list[float]
    best_val_acc: float
    best_epoch: int
    optim: dict[str, dict[str, float]]


class State(TypedDict):
    """All that a run needs to go on.

    Attributes:
        tensors: Name to tensor; no two share memory.
        numbers: Plain numbers, and lists and dicts of them.
    """

    tensors: dict[str, Tensor]
    numbers: Numbers


_CHANGING = (
    "epoch",
    "iteration",
    "loss_history",
    "train_acc_history",
    "val_acc_history",
    "best_val_acc",
    "best_epoch",
    "best_params",
    "optim_configs",
)


class Run(Protocol):
    """What of a Solver changes in training, as documented there."""

    model: Model
    epoch: int
    iteration: int
    loss_history: list[float]
    train_acc_history: list[float]
    val_acc_history: list[float]
    best_val_acc: float
    best_epoch: int
    best_params: dict[str, Tensor]
    optim_configs: dict[str, Config]


class TrainedRun(Run, Protocol):
    """What of a Solver its steps depend on besides, as documented there."""

    data: dict[str, Tensor]
    preprocess: Preprocess | None
    update_rule: UpdateRule
    batch_size: int
    seed: int
    fast: bool


def save_run(run: Run) -> State:
    """Copy the state of a run."""
    tensors, optim = _split_configs(run.optim_configs)
    tensors |= _add_prefix("params", run.model.params)
    tensors |= _add_prefix("best_params", run.best_params)
    numbers: Numbers = {
        "epoch": run.epoch,
        "iteration": run.iteration,
        "loss_history": list(run.loss_history),
        "train_acc_history": list(run.train_acc_history),
        "val_acc_history": list(run.val_acc_history),
        "best_val_acc": run.best_val_acc,
        "best_epoch": run.best_epoch,
        "optim": optim,
    }
    return {"tensors": tensors, "numbers": numbers}


def load_run(run: Run, state: State) -> None:
    """Copy a saved state into a run.

    Raises:
        ValueError: The state is of a model with other parameters; the run is unchanged.
    """
    tensors, numbers, live = state["tensors"], state["numbers"], run.model.params
    params = _take_prefix("params", tensors, live)
    best_params = _take_prefix("best_params", tensors, live)
    run.optim_configs = _join_configs(tensors, numbers["optim"], live)
    run.best_params = best_params
    live.update(params)
    run.epoch, run.iteration = numbers["epoch"], numbers["iteration"]
    run.loss_history = list(numbers["loss_history"])
    run.train_acc_history = list(numbers["train_acc_history"])
    run.val_acc_history = list(numbers["val_acc_history"])
    run.best_val_acc, run.best_epoch = numbers["best_val_acc"], numbers["best_epoch"]


def hold_run(run: Run) -> Callable[[], None]:
    """Remember where a run stands; no tensor is copied, as none changes in place.

    Returns:
        A function that brings the run back there.
    """
    params = dict(run.model.params)
    kept = {name: copy(getattr(run, name)) for name in _CHANGING}

    def restore() -> None:
        run.model.params.update(params)
        for name, value in kept.items():
            setattr(run, name, value)

    return restore


def clone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy named tensors, so that nothing done to the originals reaches the copies."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy named tensors under names that start with a prefix and a dot."""
    return {f"{prefix}.{name}": tensor.clone() for name, tensor in tensors.items()}


def _take_prefix(
    prefix: str, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Copy back what `_add_prefix` named, to the dtypes and devices of `like`.

    Raises:
        ValueError: A tensor of `like` is missing or has another shape.
    """
    taken = {}
    for name, model in like.items():
        saved = tensors.get(f"{prefix}.{name}")
        if saved is None or saved.shape != model.shape:
            found = "nothing" if saved is None else f"shape {tuple(saved.shape)}"
            raise ValueError(
                f"state must hold {prefix}.{name} of shape {tuple(model.shape)}, "
                f"but holds {found}"
            )
        taken[name] = saved.to(model, copy=True)
    return taken


def _split_configs(
    configs: Mapping[str, Config],
) -> tuple[dict[str, Tensor], dict[str, dict[str, float]]]:
    """Split the update rule's configs into tensors and numbers.

    Args:
        configs: Parameter name to config.

    Returns:
        Tensors, named `optim.<parameter>.<entry>`, and numbers, by parameter and entry.
    """
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, float]] = {}
    for parameter, config in configs.items():
        numbers[parameter] = {}
        for entry, value in config.items():
            if isinstance(value, Tensor):
                tensors[f"optim.{parameter}.{entry}"] = value.clone()
            else:
                numbers[parameter][entry] = value
    return tensors, numbers


def _join_configs(
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, Mapping[str, float]],
    params: Mapping[str, Tensor],
) -> dict[str, Config]:
    """Put together what `_split_configs` split, on the devices of the parameters.

    Raises:
        ValueError: A parameter has no saved config.
    """
    configs: dict[str, Config] = {}
    for parameter, w in params.items():
        if parameter not in numbers:
            raise ValueError(f"state must hold a config of {parameter}, but has none")
        prefix = f"optim.{parameter}."
        saved = {
            name.removeprefix(prefix): tensor.to(w.device, copy=True)
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
        configs[parameter] = {**numbers[parameter], **saved}
    return configs
