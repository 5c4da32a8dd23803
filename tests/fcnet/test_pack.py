"""Packs, held to solvers that train alone by the readable steps."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fcnet import lockstep as lockstep_module
from fcnet.errors import Diverged
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.lockstep import Lockstep
from fcnet.minibatches import Minibatch, Minibatches
from fcnet.pack import Pack
from fcnet.preprocess import Preprocess
from fcnet.schedules import make_schedule
from fcnet.solver import Solver
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UPDATE_RULES, Config, UpdateRule, sgd

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


rates = {"sgd": 0.3, "sgd_momentum": 0.05, "rmsprop": 0.01, "adam": 0.01}
trials = st.builds(
    lambda rule, factor, **rest: Trial(rule=rule, rate=rates[rule] * factor, **rest),
    rule=st.sampled_from(sorted(rates)),
    factor=st.sampled_from([0.0, 0.3, 1.0]),
    hidden=st.integers(1, 20),
    reg=st.sampled_from([0.0, 1e-4, 0.03]),
    dropout=st.sampled_from([0.0, 0.4]),
    weights=st.integers(0, 99),
    seed=st.integers(0, 1),
    batch_size=st.sampled_from([8, 43, 1000]),
    num_epochs=st.integers(2, 4),
    lr_decay=st.sampled_from([1.0, 0.7]),
    schedule=st.sampled_from(["exponential", "cosine", "constant"]),
)
# A lane, the round in which it joins and the epochs after which it leaves.
stays = st.tuples(trials, st.integers(0, 2), st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(st.lists(stays, min_size=1, max_size=5))
def test_every_lane_has_the_curve_of_its_solo_run(
    lanes: list[tuple[Trial, int, int]],
) -> None:
    """Whatever the company, and whenever it comes and goes, a lane's curve is one."""
    pack, solvers = Pack(), [trial.solver(fast=True) for trial, _, _ in lanes]
    for moment in range(5):
        present = [
            solver
            for solver, (_, joins, epochs) in zip(solvers, lanes, strict=True)
            if joins <= moment < joins + epochs
        ]
        assert pack.train_epoch(present) == [None] * len(present)
    for solver, (trial, _, epochs) in zip(solvers, lanes, strict=True):
        assert_close_runs(solver, train_alone(trial, epochs))


@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
def test_float32_lanes_are_their_solo_runs_but_for_rounding(rule: str) -> None:
    """Losses differ in the last digits, accuracies by an example or two."""
    lanes = [
        Trial(hidden=h, reg=reg, rule=rule, rate=rates[rule], lr_decay=0.8)
        for h, reg in ((3, 0.0), (20, 0.03), (9, 1e-4))
    ]
    solvers = [trial.solver(fast=True, dtype=torch.float32) for trial in lanes]
    pack = Pack()
    for _ in range(4):
        assert pack.train_epoch(solvers) == [None] * 3
    for solver, trial in zip(solvers, lanes, strict=True):
        alone = train_alone(trial, 4, dtype=torch.float32)
        assert solver.loss_history == pytest.approx(alone.loss_history, abs=1e-4)
        assert solver.val_acc_history == pytest.approx(
            alone.val_acc_history, abs=2.1 / 30
        )


@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
def test_lanes_that_share_minibatches_train_in_one_lockstep(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three lanes of one seed are one computation in every epoch, in the same room."""
    seen: list[tuple[int, int]] = []
    train = Lockstep.train

    def watched(self: Lockstep, lanes: Any, *rest: Any) -> list[list[float]]:
        seen.append((id(self), len(lanes)))
        return train(self, lanes, *rest)

    monkeypatch.setattr(lockstep_module.Lockstep, "train", watched)
    solvers = [Trial(hidden=h, rule=rule, rate=0.01).solver(True) for h in (3, 5, 7)]
    pack = Pack()
    for _ in range(3):
        pack.train_epoch(solvers)
    assert [lanes for _, lanes in seen] == [3, 3, 3]
    assert len({room for room, _ in seen}) == 1


def test_a_scale_never_gets_too_small() -> None:
    """After 1,200 steps that all but halve the weights they are those of a solo run."""
    data = draw_data(torch.float64, 1200)
    lanes = [Trial(reg=reg, rate=0.24, hidden=3, batch_size=1) for reg in (1.0, 0.0)]
    assert (1 - 2 * 0.24) ** 1200 == 0
    solvers = [trial.solver(True, data=data) for trial in lanes]
    assert Pack().train_epoch(solvers) == [None, None]
    for solver, trial in zip(solvers, lanes, strict=True):
        assert_close_runs(solver, train_alone(trial, 1, data=data))


@pytest.mark.parametrize("reg", [1.6, 2.5, 5.0])
def test_a_decay_that_no_scale_can_hold_is_trained_all_the_same(reg: float) -> None:
    """Weights that halve, vanish or change their sign in every step."""
    lanes = [Trial(reg=reg, rate=0.2, hidden=h) for h in (3, 5)]
    solvers = [trial.solver(True) for trial in lanes]
    assert Pack().train_epoch(solvers) == [None, None]
    for solver, trial in zip(solvers, lanes, strict=True):
        assert_close_runs(solver, train_alone(trial, 1))


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


def test_lanes_on_mirrored_bytes_have_the_curves_of_their_solo_runs() -> None:
    """Preprocessed and flipped in the pack as alone, epoch by epoch, in one graph."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (43, D), dtype=torch.uint8, generator=generator)
    data = DATA[torch.float64] | {"X_train": images, "X_val": images[:30]}
    scale = torch.linspace(0.01, 0.02, D, dtype=torch.float64)
    preprocess = Preprocess(scale, -100 * scale, (2, 1, 3), flip=True)
    lanes = [Trial(hidden=hidden, reg=0.001) for hidden in (3, 8)]
    solvers = [t.solver(True, data=data, preprocess=preprocess) for t in lanes]
    pack = Pack()
    for _ in range(3):
        assert pack.train_epoch(solvers) == [None, None]
    for solver, trial in zip(solvers, lanes, strict=True):
        alone = trial.solver(False, data=data, preprocess=preprocess)
        for _ in range(3):
            alone.train_epoch()
        assert_close_runs(solver, alone)


@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
def test_a_restored_lane_goes_on_in_other_company(rule: str) -> None:
    """Saved in one pack and restored in another, a lane keeps its curve."""
    trial = Trial(rule=rule, rate=rates[rule], dropout=0.4)
    first = [trial.solver(True), Trial(hidden=4, rule=rule, rate=0.01).solver(True)]
    for _ in range(2):
        Pack().train_epoch(first)
    others = [Trial(hidden=h, rule=rule, rate=0.01).solver(True) for h in (2, 17)]
    again, pack = trial.solver(True), Pack()
    for _ in range(2):
        pack.train_epoch(others)
    again.load_state_dict(first[0].state_dict())
    for _ in range(2):
        pack.train_epoch([*others, again])
    assert_close_runs(again, train_alone(trial, 4))


def test_an_epoch_that_a_time_limit_broke_off_is_ended_in_a_pack() -> None:
    """What is left of an epoch is trained, beside lanes that begin it."""
    lanes = [Trial(hidden=h) for h in (3, 5, 7)]
    solvers = [trial.solver(True) for trial in lanes]
    for solver in solvers[:2]:
        ticks = itertools.count(0.0)
        solver.train(4, return_best_params=False, clock=ticks.__next__)
        assert solver.iteration == 4
    assert Pack().train_epoch(solvers) == [None] * 3
    for solver, trial in zip(solvers, lanes, strict=True):
        assert_close_runs(solver, train_alone(trial, 1))


def plain(w: Tensor, dw: Tensor, config: Config) -> tuple[Tensor, Config]:
    """A user's own rule, which no pack knows."""
    return sgd(w, dw, config)


class Halved(TwoLayerNet):
    """A net whose loss may be another one."""


def test_whatever_cannot_be_packed_trains_beside_the_pack() -> None:
    """Other depths, nets, rules and dtypes have the curves they have alone."""

    def make() -> list[Solver]:
        nets = [
            FullyConnectedNet([], D, C, seed=0, dtype=torch.float64),
            FullyConnectedNet([5, 4], D, C, seed=0, dtype=torch.float64),
            Halved(D, 5, C, seed=0, dtype=torch.float64),
            TwoLayerNet(D, 5, C, seed=0, dtype=torch.float32),
            TwoLayerNet(D, 5, C, seed=0, dtype=torch.float64),
        ]
        data = DATA[torch.float64]
        rules: list[str | UpdateRule] = ["sgd", "adam", "sgd", "sgd", plain]
        return [
            Solver(net, data, update_rule=rule, batch_size=8, verbose=False)
            for net, rule in zip(nets, rules, strict=True)
        ]

    packed, alone = make(), make()
    lanes = [Trial(hidden=h).solver(True) for h in (3, 5)]
    assert Pack().train_epoch([*packed, *lanes]) == [None] * 7
    for solver, expected in zip(packed, alone, strict=True):
        expected.train_epoch()
        assert same_bits(solver.state_dict(), expected.state_dict())


def test_two_lanes_of_one_model_are_refused() -> None:
    """Each would undo the other's updates, so it is an error that says what to do."""
    solver = Trial().solver(True)
    with pytest.raises(ValueError, match="a model for each lane"):
        Pack().train_epoch([solver, solver])


def test_tensors_of_a_lane_never_change() -> None:
    """Parameters taken out before and between epochs stay as they were."""
    solvers, pack = [Trial(hidden=h).solver(True) for h in (3, 5)], Pack()
    held: list[tuple[Tensor, Tensor]] = []
    for _ in range(3):
        for solver in solvers:
            tensors = [*solver.model.params.values(), *solver.best_params.values()]
            held += [(tensor, tensor.clone()) for tensor in tensors]
        pack.train_epoch(solvers)
    assert all(torch.equal(tensor, copy) for tensor, copy in held)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
def test_a_gpu_gives_the_curves_of_a_cpu(rule: str) -> None:
    """With graphs, ragged minibatches and decaying rates, float64 curves agree."""
    lanes = [Trial(hidden=h, rule=rule, rate=rates[rule], lr_decay=0.8) for h in (3, 9)]
    solvers = []
    for trial in lanes:
        solver = trial.solver(True)
        net = TwoLayerNet(
            D, trial.hidden, C, 0.3, 0.03, torch.float64, "cuda", seed=trial.weights
        )
        solvers.append(
            Solver(
                net,
                solver.data,
                update_rule=rule,
                optim_config={"learning_rate": trial.rate},
                lr_decay=0.8,
                batch_size=8,
                verbose=False,
                device="cuda",
            )
        )
    shared = solvers[0].data
    for solver in solvers:
        solver.data = shared
    pack = Pack()
    for _ in range(3):
        assert pack.train_epoch(solvers) == [None, None]
    for solver, trial in zip(solvers, lanes, strict=True):
        alone = train_alone(trial, 3)
        assert solver.loss_history == pytest.approx(alone.loss_history, abs=1e-9)
