"""What a solver knows of a model, and the share of examples a model labels rightly.

Letters: N examples, D inputs of an example.
"""

from collections.abc import Callable
from typing import Protocol, overload, runtime_checkable

import torch
from torch import Tensor


class Model(Protocol):
    """What a Solver can train.

    Attributes:
        params: Name to tensor; a Solver puts new tensors in and changes none in place.
    """

    params: dict[str, Tensor]

    @overload
    def loss(self, X: Tensor, y: None = None) -> Tensor: ...
    @overload
    def loss(self, X: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]: ...


@runtime_checkable
class StochasticModel(Protocol):
    """What a model has besides if its loss depends on random draws."""

    def start_iteration(self, seed: int, epoch: int, iteration: int) -> None:
        """Say which iteration comes; all that is drawn depends on these alone."""


def sample(
    X: Tensor, y: Tensor, num_samples: int | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw examples without replacement; all of them if there are no more than asked.

    Args:
        X: Examples, of shape (N, D).
        y: Labels, of shape (N,).
        num_samples: How many to draw; None for all.
        generator: Source of the draw, on the CPU.

    Returns:
        The examples and labels drawn, in random order, or X and y themselves.
    """
    if num_samples is None or num_samples >= len(X):
        return X, y
    chosen = torch.randperm(len(X), generator=generator)[:num_samples].to(X.device)
    return X.index_select(0, chosen), y.index_select(0, chosen)


def accuracy(
    model: Model,
    X: Tensor,
    y: Tensor,
    batch_size: int,
    preprocess: Callable[[Tensor], Tensor] | None = None,
) -> float:
    """Compute the share of examples whose highest score is at their label.

    Args:
        model: Gives the scores.
        X: Examples, of shape (N, D), N >= 1.
        y: Labels, of shape (N,), int64.
        batch_size: Examples scored at once; bounds the memory, not the result.
        preprocess: Makes inputs of a batch of examples; None if they are inputs.

    Returns:
        A share from 0 to 1.
    """
    batches = zip(torch.split(X, batch_size), torch.split(y, batch_size), strict=True)
    # Added up on the device: one wait for it in all, rather than one for each batch.
    right = torch.zeros((), dtype=torch.int64, device=X.device)
    for X_batch, y_batch in batches:
        x = X_batch if preprocess is None else preprocess(X_batch)
        right += (model.loss(x).argmax(dim=1) == y_batch).sum()
    return int(right) / len(X)
