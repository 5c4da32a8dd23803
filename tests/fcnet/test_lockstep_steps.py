"""Lockstep's steps, held to the readable ones: the same draws give the same curve."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fcnet.accuracy import Model
from fcnet.errors import Diverged
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.lockstep_shape import find_lane
from fcnet.lockstep_steps import LockstepSteps
from fcnet.readable_steps import ReadableSteps
from fcnet.schedules import make_schedule
from fcnet.solver import Solver
from fcnet.step_choice import choose_steps
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UPDATE_RULES, Config, sgd
from lanes import RATES, assert_close_runs, same_bits

SCHEDULES: list[dict[str, Any]] = [
    {"lr_decay": 0.8},
    {"schedule": make_schedule("cosine", warmup_epochs=1)},
]


def toy_data(
    n: int = 43, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> dict[str, Tensor]:
    """Draw n training and 30 validation examples of shape (2, 3), three classes."""
    generator = torch.Generator().manual_seed(0)
    shapes = (n, 2, 3), (30, 2, 3)
    X, X_val = (
        torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes
    )
    labels = {"y_train": X[:, 0].argmax(dim=1), "y_val": X_val[:, 0].argmax(dim=1)}
    data = {"X_train": X.to(dtype), "X_val": X_val.to(dtype)} | labels
    return {name: tensor.to(device) for name, tensor in data.items()}


def make_solver(
    fast: bool,
    reg: float = 0.0,
    dtype: torch.dtype = torch.float64,
    dropout: float = 0.0,
    **arguments: Any,
) -> Solver:
    """Make a solver of a small net: 43 examples, batches of 8, the last one of 3."""
    device = arguments.get("device", "cpu")
    net = FullyConnectedNet([9], 6, 3, dropout, reg, 0.3, 1, dtype, device)
    settings: dict[str, Any] = {"batch_size": 8, "num_epochs": 4, "verbose": False}
    settings |= {"optim_config": {"learning_rate": 0.5}}
    data = toy_data(dtype=dtype, device=device)
    return Solver(net, data, fast=fast, **(settings | arguments))


def assert_equal_runs(one: Solver, other: Solver) -> None:
    """Assert that two runs are in the same state, bit for bit."""
    state, expected = one.state_dict(), other.state_dict()
    assert state["numbers"] == expected["numbers"]
    for name, tensor in expected["tensors"].items():
        assert torch.equal(state["tensors"][name], tensor), name


def watch(solver: Solver) -> list[type]:
    """Note the class of whatever takes the solver's steps, epoch by epoch."""
    seen = []
    while solver.epoch < solver.num_epochs:
        solver.train_epoch()
        seen.append(type(solver._steps))
    return seen


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("rates", SCHEDULES)
@pytest.mark.parametrize("reg", [0.0, 0.03])
@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
def test_float64_curves_agree(
    rule: str, reg: float, rates: dict[str, Any], dropout: float
) -> None:
    """Losses, weights and accuracies of both ways are one, through all epochs."""
    fast, readable = (
        make_solver(
            fast,
            reg,
            dropout=dropout,
            update_rule=rule,
            optim_config={"learning_rate": RATES[rule]},
            **rates,
        )
        for fast in (True, False)
    )
    assert watch(fast) == [LockstepSteps] * 4
    assert watch(readable) == [ReadableSteps] * 4
    assert_close_runs(fast, readable, 1e-9)
    assert fast.val_acc_history == readable.val_acc_history
    assert fast.train_acc_history == readable.train_acc_history


@pytest.mark.parametrize("rates", SCHEDULES)
@pytest.mark.parametrize("reg", [0.0, 0.03])
def test_float32_curves_agree_to_rounding(reg: float, rates: dict[str, Any]) -> None:
    """In float32 losses differ in the last digits, accuracies by an example at most."""
    runs = [make_solver(fast, reg, torch.float32, **rates) for fast in (True, False)]
    for run in runs:
        run.train(return_best_params=False)
    assert_close_runs(runs[0], runs[1], 1e-4)
    accuracies = [run.val_acc_history[-1] for run in runs]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=1 / 29)


@pytest.mark.parametrize("batch_size", [1, 43, 10**12])
def test_any_batch_size_agrees(batch_size: int) -> None:
    """One example at a time, all of them, and more than there are."""
    runs = [make_solver(fast, 0.03, batch_size=batch_size) for fast in (True, False)]
    for run in runs:
        run.train(return_best_params=False)
    assert_close_runs(runs[0], runs[1], 1e-9)


@pytest.mark.parametrize("reg", [0.0, 0.2])
@pytest.mark.parametrize("n", [1, 8])
def test_a_step_is_that_of_autograd_and_torch_s_optimizer(n: int, reg: float) -> None:
    """Loss and weights are those of torch's own operations and its SGD."""
    solver = make_solver(True, reg, batch_size=8, optim_config={"learning_rate": 0.3})
    X, y = solver.data["X_train"].flatten(1), solver.data["y_train"]
    params = solver.model.params
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    optimizer = torch.optim.SGD(leaves.values(), 0.3)
    steps = choose_steps(solver, None)
    steps.begin(solver)
    for chosen in torch.split(torch.arange(3 * n), n):
        hidden = (X[chosen] @ leaves["W1"] + leaves["b1"]).relu()
        scores = hidden @ leaves["W2"] + leaves["b2"]
        penalty = leaves["W1"].square().sum() + leaves["W2"].square().sum()
        loss = torch.nn.functional.cross_entropy(scores, y[chosen]) + reg * penalty
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        steps.step(solver, chosen)
        steps.settle(solver)
        assert solver.loss_history[-1] == pytest.approx(loss.item(), rel=1e-12)
        for name, leaf in leaves.items():
            torch.testing.assert_close(
                params[name], leaf.detach(), rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_restored_run_goes_on_bit_for_bit(epochs: int, tmp_path: Path) -> None:
    """Saved after any epoch, a fast run goes on as if it were unbroken."""
    unbroken, first, second = (make_solver(True, 0.03) for _ in range(3))
    watch(unbroken)
    for _ in range(epochs):
        first.train_epoch()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    watch(second)
    assert_equal_runs(second, unbroken)


def test_weights_of_any_layout_are_trained() -> None:
    """Parameters that are views of a transposed matrix are trained like any other."""
    nets = []
    for fast in (True, False):
        net = TwoLayerNet(6, 9, 3, 0.3, 0.03, torch.float64, seed=1)
        for name in ("W1", "W2"):
            net.params[name] = net.params[name].T.contiguous().T
        solver = Solver(net, toy_data(), batch_size=8, verbose=False, fast=fast)
        solver.train(return_best_params=False)
        nets.append(net)
    for name, w in nets[0].params.items():
        torch.testing.assert_close(w, nets[1].params[name], rtol=0, atol=1e-9)


def test_a_run_may_change_its_way() -> None:
    """A state saved by the one way is carried on by the other, to the same end."""
    unbroken, first, second = (make_solver(fast, 0.03) for fast in (True, True, False))
    watch(unbroken)
    first.train_epoch()
    second.load_state_dict(first.state_dict())
    watch(second)
    assert_close_runs(second, unbroken, 1e-9)


@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
@pytest.mark.parametrize("iterations", [1, 3, 6, 10])
def test_a_time_limit_settles_what_was_done(iterations: int, rule: str) -> None:
    """Stopped anywhere, the run shows every step taken, and goes on from there."""
    unbroken, limited = (
        make_solver(
            True,
            0.03,
            dropout=0.4,
            update_rule=rule,
            optim_config={"learning_rate": RATES[rule]},
        )
        for _ in range(2)
    )
    unbroken.train(return_best_params=False)
    ticks = itertools.count(0.0)
    limited.train(iterations, return_best_params=False, clock=ticks.__next__)
    assert limited.iteration == len(limited.loss_history) == iterations
    limited.train(return_best_params=False)
    assert_close_runs(limited, unbroken)


def test_a_printed_loss_changes_nothing() -> None:
    """Settled every few iterations, a run has the bits that it has in silence."""
    silent, printing = make_solver(True, 0.03), make_solver(True, 0.03, print_every=2)
    lines: list[str] = []
    printing.verbose = True
    silent.train()
    printing.train(log=lines.append)
    assert len(lines) > silent.iteration / 2
    assert_equal_runs(printing, silent)


def test_nothing_is_settled_before_it_is_asked_for() -> None:
    """Between two settlements the run stands where it stood."""
    solver = make_solver(True, 0.03)
    before, steps = solver.state_dict(), choose_steps(solver, None)
    steps.begin(solver)
    for chosen in torch.split(torch.arange(16), 8):
        steps.step(solver, chosen)
        assert same_bits(solver.state_dict(), before)
    steps.settle(solver)
    assert solver.iteration == len(solver.loss_history) == 2
    assert not same_bits(solver.state_dict(), before)


def test_an_interrupted_epoch_leaves_no_trace() -> None:
    """After an interrupt the run stands where it was settled last, and goes on."""
    unbroken, broken = make_solver(True), make_solver(True)
    unbroken.train(return_best_params=False)

    def clock() -> float:
        if next(ticks) == 9:
            raise KeyboardInterrupt
        return 0.0

    ticks = itertools.count()
    with pytest.raises(KeyboardInterrupt):
        broken.train(clock=clock)
    assert broken.iteration == len(broken.loss_history) == 6
    broken.train(return_best_params=False)
    assert_equal_runs(broken, unbroken)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("example", [0, 20, 42])
def test_both_ways_diverge_alike(example: int, value: float) -> None:
    """The first loss that is not finite is named; the run stands before its update."""
    runs, errors = [make_solver(fast, 0.03) for fast in (True, False)], []
    for run in runs:
        run.train_epoch()
        run.data["X_train"][example] = value
        best = {k: v.clone() for k, v in run.best_params.items()}
        with pytest.raises(Diverged) as caught:
            run.train()
        errors.append(caught.value)
        assert all(torch.equal(run.best_params[k], v) for k, v in best.items())
        assert caught.value.iteration == run.iteration + 1 == len(run.loss_history) + 1
    assert str(errors[0]) == str(errors[1])
    assert_close_runs(runs[0], runs[1], 1e-9)


def test_growing_weights_diverge_alike() -> None:
    """A learning rate that is too large ends both ways in the same iteration."""
    runs = [
        make_solver(fast, 1.0, torch.float32, optim_config={"learning_rate": 40.0})
        for fast in (True, False)
    ]
    where = []
    for run in runs:
        with pytest.raises(Diverged) as caught:
            run.train()
        where.append((caught.value.epoch, caught.value.iteration))
        assert all(w.isfinite().all() for w in run.model.params.values())
    assert where[0] == where[1]


def test_tensors_of_a_run_never_change() -> None:
    """Parameters taken out before, between and after epochs stay as they were."""
    solver = make_solver(True)
    held: list[tuple[Tensor, Tensor]] = []
    for _ in range(3):
        tensors = [*solver.model.params.values(), *solver.best_params.values()]
        held += [(tensor, tensor.clone()) for tensor in tensors]
        solver.train_epoch()
    assert all(torch.equal(tensor, copy) for tensor, copy in held)
    assert len({tensor.data_ptr() for tensor, _ in held[::8]}) == 3


class Halved(TwoLayerNet):
    """A net whose loss is another one."""


def plain(w: Tensor, dw: Tensor, config: Config) -> tuple[Tensor, Config]:
    """A user's own rule."""
    return sgd(w, dw, config)


def test_a_run_is_a_lane_in_its_own_case_alone() -> None:
    """Another depth, class, rule or dtype is left to the readable steps."""
    X, X64 = torch.zeros(4, 6), torch.zeros(4, 6).double()
    y = torch.zeros(4, dtype=torch.int64)

    def is_lane(net: Model, X: Tensor = X, **arguments: Any) -> bool:
        data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
        return find_lane(Solver(net, data, **arguments)) is not None

    two = TwoLayerNet(6, 5, 3, seed=0)
    for name in UPDATE_RULES:
        assert is_lane(two, update_rule=name)
    assert is_lane(FullyConnectedNet([5], 6, 3, seed=0))
    assert is_lane(FullyConnectedNet([5], 6, 3, 0.5, seed=0))
    assert not is_lane(FullyConnectedNet([], 6, 3, seed=0))
    assert not is_lane(FullyConnectedNet([5, 5], 6, 3, seed=0))
    assert not is_lane(Halved(6, 5, 3, seed=0))
    assert not is_lane(two, X64)
    assert not is_lane(two, update_rule=plain)
    assert not is_lane(two, fast=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("reg", [0.0, 0.03])
def test_a_gpu_gives_the_curve_of_a_cpu(reg: float) -> None:
    """With graphs, ragged minibatches and a decaying rate, float64 curves agree."""
    runs = [
        make_solver(True, reg, device=device, lr_decay=0.8)
        for device in ("cuda", "cpu")
    ]
    for run in runs:
        run.train(return_best_params=False)
    losses = [run.loss_history for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-9)
