"""Small runs that train in packs, and what they are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.schedules import make_schedule
from fcnet.solver import Solver

D, C = 6, 3


def draw_data(dtype: torch.dtype, n: int = 43) -> dict[str, Tensor]:
    """Draw n training and 30 validation examples of shape (2, 3), three classes."""
    generator = torch.Generator().manual_seed(0)
    X, X_val = (
        torch.randn(m, 2, 3, generator=generator, dtype=torch.float64) for m in (n, 30)
    )
    labels = {"y_train": X[:, 0].argmax(dim=1), "y_val": X_val[:, 0].argmax(dim=1)}
    return {"X_train": X.to(dtype), "X_val": X_val.to(dtype)} | labels


DATA = {dtype: draw_data(dtype) for dtype in (torch.float64, torch.float32)}


RATES = {"sgd": 0.3, "sgd_momentum": 0.05, "rmsprop": 0.01, "adam": 0.01}


@dataclass(frozen=True)
class Trial:
    """The settings of one run: those of its net, of its solver and of its rule."""

    hidden: int = 9
    reg: float = 0.03
    dropout: float = 0.0
    weight_scale: float = 0.3
    weights: int = 1  # the seed of the initial weights
    rate: float = 0.3
    rule: str = "sgd"
    seed: int = 0
    batch_size: int = 8
    num_epochs: int = 4
    lr_decay: float = 1.0
    schedule: str = "exponential"

    def solver(
        self,
        fast: bool,
        dtype: torch.dtype = torch.float64,
        data: Mapping[str, Tensor] | None = None,
        **arguments: Any,
    ) -> Solver:
        """Make the solver before training."""
        net = FullyConnectedNet(
            (self.hidden,),
            D,
            C,
            dropout=self.dropout,
            reg=self.reg,
            weight_scale=self.weight_scale,
            seed=self.weights,
            dtype=dtype,
        )
        exponential = self.schedule == "exponential"
        given: dict[str, Any] = {
            "update_rule": self.rule,
            "optim_config": {"learning_rate": self.rate},
            "lr_decay": self.lr_decay if exponential else 1.0,
            "schedule": "exponential" if exponential else make_schedule(self.schedule),
            "batch_size": self.batch_size,
            "num_epochs": self.num_epochs,
            "seed": self.seed,
        }
        given |= arguments
        return Solver(net, data or DATA[dtype], fast=fast, verbose=False, **given)


def assert_close_runs(one: Solver, other: Solver, tolerance: float = 1e-9) -> None:
    """Assert that two runs are in one state, but for rounding."""
    state, expected = one.state_dict(), other.state_dict()
    (a, b) = state["numbers"], expected["numbers"]
    assert (a["epoch"], a["iteration"]) == (b["epoch"], b["iteration"])
    assert a["loss_history"] == pytest.approx(
        b["loss_history"], rel=tolerance, abs=tolerance
    )
    assert a["train_acc_history"] == b["train_acc_history"]
    assert a["val_acc_history"] == b["val_acc_history"]
    assert (a["best_epoch"], a["best_val_acc"]) == (b["best_epoch"], b["best_val_acc"])
    assert a["optim"] == b["optim"]
    assert state["tensors"].keys() == expected["tensors"].keys()
    for name, tensor in state["tensors"].items():
        torch.testing.assert_close(
            tensor, expected["tensors"][name], rtol=tolerance, atol=tolerance
        )


def same_bits(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two states are the same, bit for bit."""
    tensors = one["tensors"], other["tensors"]
    return (
        one["numbers"] == other["numbers"]
        and tensors[0].keys() == tensors[1].keys()
        and all(torch.equal(t, tensors[1][name]) for name, t in tensors[0].items())
    )


def train_alone(trial: Trial, epochs: int, **arguments: Any) -> Solver:
    """Train by layers and rule, as the mathematics has it."""
    solver = trial.solver(fast=False, **arguments)
    for _ in range(epochs):
        solver.train_epoch()
    return solver
