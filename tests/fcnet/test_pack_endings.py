"""What goes wrong in a pack: lanes that diverge, and errors that end the call."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from fcnet.errors import Diverged
from fcnet.minibatches import Minibatch, Minibatches
from fcnet.pack import Pack
from fcnet.solver import Solver
from lanes import (
    Trial,
    assert_close_runs,
    draw_data,
    same_bits,
    train_alone,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Compute with one thread: on tensors this small others only wait for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("rule", ["sgd", "sgd_momentum"])
def test_a_lane_that_diverges_leaves_its_companions_alone(rule: str) -> None:
    """It ends where its solo run ends; the curves beside it do not notice."""
    lanes = [Trial(hidden=h, rule=rule, rate=0.05) for h in (4, 20, 7)]
    wild = Trial(hidden=11, rule=rule, rate=1e200, reg=0.0)
    alone = wild.solver(fast=False)
    with pytest.raises(Diverged) as caught:
        alone.train_epoch()
    solvers = [trial.solver(True) for trial in (*lanes[:2], wild, lanes[2])]
    without = [trial.solver(True) for trial in lanes]
    pack, other = Pack(), Pack()
    endings = pack.train_epoch(solvers)
    diverged = solvers.pop(2)
    for _ in range(2):
        assert pack.train_epoch(solvers) == [None] * 3
    for _ in range(3):
        assert other.train_epoch(without) == [None] * 3
    assert [ending is None for ending in endings] == [True, True, False, True]
    assert str(endings[2]) == str(caught.value)
    assert_close_runs(diverged, alone)
    for solver, companion in zip(solvers, without, strict=True):
        assert_close_runs(solver, companion, 1e-12)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("example", [0, 20, 42])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_a_broken_example_ends_every_lane_before_its_step(
    rule: str, example: int, value: float
) -> None:
    """All lanes stand before the step on that example, as they would alone."""
    data = draw_data(torch.float64)
    lanes = [Trial(hidden=h, rule=rule, rate=0.01) for h in (4, 9)]
    solvers = [trial.solver(True, data=data) for trial in lanes]
    alone = [trial.solver(False, data=data) for trial in lanes]
    pack = Pack()
    pack.train_epoch(solvers)
    for solver in alone:
        solver.train_epoch()
    data["X_train"][example] = value
    endings = pack.train_epoch(solvers)
    for solver, ending, expected in zip(solvers, endings, alone, strict=True):
        with pytest.raises(Diverged) as caught:
            expected.train_epoch()
        assert str(ending) == str(caught.value)
        assert_close_runs(solver, expected)


def test_lanes_that_overflow_in_float32_end_like_their_solo_runs() -> None:
    """Growing weights overflow in the same iteration, alone and in a pack."""
    lanes = [Trial(hidden=h, reg=0.01, rate=40.0) for h in (4, 9, 13)]
    solvers = [trial.solver(True, torch.float32) for trial in lanes]
    pack, ended = Pack(), {}
    for _ in range(4):
        present = [s for s in solvers if s not in ended]
        for solver, ending in zip(present, pack.train_epoch(present), strict=True):
            if ending:
                ended[solver] = ending.iteration
    for solver, trial in zip(solvers, lanes, strict=True):
        alone = trial.solver(False, torch.float32)
        iteration = None
        try:
            for _ in range(4):
                alone.train_epoch()
        except Diverged as error:
            iteration = error.iteration
        assert ended.get(solver) == iteration


@pytest.mark.parametrize("calls", [1, 4, 7, 8])
def test_an_error_leaves_every_solver_where_it_was(
    calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a step, between two groups or at the end: all stand as before, and go on."""
    lanes = [
        Trial(hidden=3, rule="adam", rate=0.01, dropout=0.4),
        Trial(hidden=4, rule="adam", rate=0.01, num_epochs=5),
        Trial(hidden=5),
        Trial(hidden=6, seed=1),
        Trial(hidden=7),
    ]
    solvers, pack = [trial.solver(True) for trial in lanes], Pack()
    pack.train_epoch(solvers)
    before = [solver.state_dict() for solver in solvers]
    evaluate = Solver.check_accuracy
    left = iter(range(calls))

    def fail(self: Solver, *rest: Any) -> float:
        if next(left, None) is None:
            raise MemoryError("no room")
        return evaluate(self, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Solver, "check_accuracy", fail)
        with pytest.raises(MemoryError):
            pack.train_epoch(solvers)
    for solver, state in zip(solvers, before, strict=True):
        assert same_bits(solver.state_dict(), state)
    for half in (solvers[:2], solvers[2:]):
        pack.train_epoch(half)
    for solver, trial in zip(solvers, lanes, strict=True):
        assert_close_runs(solver, train_alone(trial, 2))


def test_an_error_inside_an_epoch_leaves_every_solver_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that runs out of memory half-way leaves no trace."""
    solvers = [Trial(hidden=h).solver(True) for h in (3, 5)]
    fresh = [solver.state_dict() for solver in solvers]
    fill, left = Minibatches.fill, iter(range(3))

    def fail(self: Minibatches, room: Minibatch) -> None:
        if next(left, None) is None:
            raise MemoryError("no room")
        fill(self, room)

    monkeypatch.setattr(Minibatches, "fill", fail)
    with pytest.raises(MemoryError):
        Pack().train_epoch(solvers)
    for solver, state in zip(solvers, fresh, strict=True):
        assert same_bits(solver.state_dict(), state)


def test_huge_weights_without_an_l2_term_are_no_loss() -> None:
    """Weights whose squares overflow leave the loss finite where reg is 0."""
    alone, packed = (
        Trial(reg=0.0, rate=1e-3, batch_size=43).solver(fast, torch.float32)
        for fast in (False, True)
    )
    for solver in (alone, packed):
        params = solver.model.params
        params["W1"] = params["W1"] * 1e20
        params["W2"] = torch.zeros_like(params["W2"])
    assert params["W1"].square().sum() == float("inf")
    companion = Trial(reg=0.03, batch_size=43).solver(True, torch.float32)
    alone.train_epoch()
    assert Pack().train_epoch([packed, companion]) == [None, None]
    assert packed.loss_history == pytest.approx(alone.loss_history)
