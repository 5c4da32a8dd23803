"""Schedules: their factors, against torch's own, and what a Solver makes of them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from fcnet.schedules import SCHEDULES, Schedule, make_schedule
from fcnet.solver import Solver
from fcnet.two_layer_net import TwoLayerNet

LR = torch.optim.lr_scheduler
Oracle = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]

ORACLES: dict[str, tuple[dict[str, Any], Oracle]] = {
    "constant": ({}, lambda o: LR.LambdaLR(o, lambda _: 1.0)),
    "exponential": ({"lr_decay": 0.8}, lambda o: LR.ExponentialLR(o, 0.8)),
    "step": ({"step_every": 3, "step_factor": 0.5}, lambda o: LR.StepLR(o, 3, 0.5)),
    "cosine": ({}, lambda o: LR.CosineAnnealingLR(o, 8)),
}


def factors(schedule: Schedule, num_epochs: int) -> list[float]:
    """List the factors of a run, that after its last epoch included."""
    return [schedule(epoch, num_epochs) for epoch in range(num_epochs + 1)]


def make_solver(**arguments: Any) -> Solver:
    """Make a solver of a small net: 20 examples, batches of 5, 6 epochs."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(20, 3, generator=generator)
    data = {"X_train": X, "y_train": X.argmax(dim=1)}
    data |= {"X_val": X[:7], "y_val": data["y_train"][:7]}
    settings: dict[str, Any] = {"optim_config": {"learning_rate": 0.4}}
    settings |= {"num_epochs": 6, "batch_size": 5, "verbose": False}
    return Solver(TwoLayerNet(3, 4, 3, 0.1, seed=0), data, **(settings | arguments))


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_agree_with_torch(name: str) -> None:
    """The factors of each schedule are those of torch's scheduler."""
    settings, oracle = ORACLES[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    scheduler = oracle(optimizer)
    expected = []
    for _ in range(9):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    found = factors(make_schedule(name, **settings), 8)
    assert found == pytest.approx(expected, abs=1e-12)


def test_cosine_falls_from_one_to_nothing() -> None:
    """It begins at 1, ends at 0, and rises nowhere."""
    found = factors(make_schedule("cosine"), 7)
    assert (found[0], found[-1]) == (1, 0)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_is_linear_and_then_the_schedule_begins(name: str) -> None:
    """Three epochs of warm-up rise by a quarter each; the rest is the schedule's."""
    settings, _ = ORACLES[name]
    found = factors(make_schedule(name, warmup_epochs=3, **settings), 8)
    assert found[:3] == [0.25, 0.5, 0.75]
    assert found[3:] == factors(make_schedule(name, **settings), 5)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_epochs", [0, 1, 2])
def test_a_run_may_be_shorter_than_its_warm_up(name: str, num_epochs: int) -> None:
    """However few epochs there are, each has a factor from 0 to 1."""
    for warmup_epochs in (0, 2, 5):
        schedule = make_schedule(name, warmup_epochs=warmup_epochs)
        assert all(0 <= factor <= 1 for factor in factors(schedule, num_epochs))


def test_the_solver_follows_its_schedule() -> None:
    """Each epoch is trained with the rule's learning rate times its factor."""
    schedule = make_schedule("cosine", warmup_epochs=2)
    solver, rates = make_solver(schedule=schedule), []
    for _ in range(6):
        rates.append(solver.learning_rate)
        solver.train_epoch()
    assert rates == pytest.approx([0.4 * factor for factor in factors(schedule, 6)][:6])


def test_a_rate_of_zero_changes_no_weight() -> None:
    """A schedule of zeros trains nothing."""
    solver = make_solver(schedule=lambda epoch, num_epochs: 0.0)
    before = {k: v.clone() for k, v in solver.model.params.items()}
    solver.train(return_best_params=False)
    assert all(torch.equal(solver.model.params[k], v) for k, v in before.items())


def test_by_default_lr_decay_is_multiplied_each_epoch() -> None:
    """The learning rates are products, bit for bit, not powers."""
    solver, rate = make_solver(lr_decay=0.7), 0.4
    for _ in range(6):
        assert solver.learning_rate == rate
        solver.train_epoch()
        rate *= 0.7


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_restored_run_follows_the_schedule_on(epochs: int) -> None:
    """Saved after any epoch, a run goes on with the rates of the unbroken one."""
    schedule = make_schedule("cosine", warmup_epochs=2)
    unbroken, first, second = (make_solver(schedule=schedule) for _ in range(3))
    unbroken.train(return_best_params=False)
    for _ in range(epochs):
        first.train_epoch()
    second.load_state_dict(first.state_dict())
    second.train(return_best_params=False)
    assert second.loss_history == unbroken.loss_history
    for name, w in unbroken.model.params.items():
        assert torch.equal(second.model.params[name], w)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "linear"},
            "one of constant, exponential, step, cosine, got 'linear'",
        ),
        ({"name": "step", "step_every": 0}, "step_every must be at least 1"),
        ({"name": "step", "step_factor": -1.0}, "step_factor must be finite and >= 0"),
        ({"name": "exponential", "lr_decay": float("nan")}, "lr_decay"),
        ({"name": "cosine", "warmup_epochs": -1}, "warmup_epochs must be >= 0"),
    ],
)
def test_impossible_schedules_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """A setting out of range is an error that names it."""
    with pytest.raises(ValueError, match=message):
        make_schedule(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedule": "linear"}, ValueError, "schedule must be one of constant"),
        ({"schedule": 3}, TypeError, "schedule must be a name or a function"),
        ({"schedule": "cosine", "lr_decay": 0.9}, ValueError, "lr_decay .* alone"),
        ({"schedule": lambda e, n: -1.0}, ValueError, "schedule must be finite"),
    ],
)
def test_the_solver_refuses_what_is_no_schedule(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """An unknown name, a wrong type or a negative factor is an error that says so."""
    with pytest.raises(error, match=message):
        make_solver(**arguments)
