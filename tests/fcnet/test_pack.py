"""Packs, held to solvers that train alone by the readable steps."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fcnet import lockstep as lockstep_module
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.lockstep import Lockstep
from fcnet.pack import Pack
from fcnet.preprocess import Preprocess
from fcnet.solver import Solver
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UPDATE_RULES, Config, UpdateRule, sgd
from lanes import (
    DATA,
    RATES,
    C,
    D,
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


trials = st.builds(
    lambda rule, factor, **rest: Trial(rule=rule, rate=RATES[rule] * factor, **rest),
    rule=st.sampled_from(sorted(RATES)),
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


def draw_images(examples: int = 1000, inputs: int = 300) -> dict[str, Tensor]:
    """Noisy float32 examples, large enough for threads to share their products."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(2 * examples, inputs, generator=generator)
    scores = X @ torch.randn(inputs, C, generator=generator) / inputs**0.5
    noise = torch.randn(scores.shape, generator=generator)
    y = (scores + noise / 4).argmax(dim=1)
    train, held_out = slice(None, examples), slice(examples, None)
    return {"X_train": X[train], "y_train": y[train]} | {
        "X_val": X[held_out],
        "y_val": y[held_out],
    }


@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
def test_float32_accuracies_agree_as_those_of_two_thread_counts_do(rule: str) -> None:
    """A pack rounds as a solo run may: no further off than with another thread, too.

    One held-out example may stand on the edge for the pack and not for the thread.
    """
    data = draw_images()

    def make(threads: int) -> list[Solver]:
        torch.set_num_threads(threads)
        return [
            Solver(
                TwoLayerNet(300, hidden, C, 0.1, reg, torch.float32, seed=hidden),
                data,
                update_rule=rule,
                optim_config={"learning_rate": RATES[rule] / 3},
                batch_size=50,
                num_epochs=3,
                verbose=False,
            )
            for hidden, reg in ((20, 0.0), (50, 1e-3), (90, 1e-4))
        ]

    def train_each(threads: int) -> list[Solver]:
        solvers = make(threads)
        for solver in solvers:
            solver.train(return_best_params=False)
        return solvers

    alone, other, packed = train_each(1), train_each(2), make(1)
    pack = Pack()
    for _ in range(3):
        assert pack.train_epoch(packed) == [None] * 3

    def gaps(solvers: list[Solver]) -> list[float]:
        pairs = zip(solvers, alone, strict=True)
        return [abs(a.val_acc_history[-1] - b.val_acc_history[-1]) for a, b in pairs]

    spread = max(gaps(other)) + 1 / len(data["y_val"])
    assert max(gaps(packed)) <= spread
    assert all(solver.val_acc_history[-1] > 0.4 for solver in alone)


def watch_lockstep(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Note which Lockstep trains how many lanes, each time that one does."""
    seen: list[tuple[int, int]] = []
    train = Lockstep.train

    def watched(self: Lockstep, lanes: Any, *rest: Any) -> list[list[float]]:
        seen.append((id(self), len(lanes)))
        return train(self, lanes, *rest)

    monkeypatch.setattr(lockstep_module.Lockstep, "train", watched)
    return seen


@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
def test_lanes_that_share_minibatches_train_in_one_lockstep(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three lanes of one seed are one computation in every epoch, in the same room."""
    seen = watch_lockstep(monkeypatch)
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


def test_lanes_on_mirrored_bytes_have_the_curves_of_their_solo_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Preprocessed and flipped in lockstep as alone, epoch by epoch."""
    seen = watch_lockstep(monkeypatch)
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
    assert [lanes for _, lanes in seen] == [2, 2, 2]
    for solver, trial in zip(solvers, lanes, strict=True):
        alone = trial.solver(False, data=data, preprocess=preprocess)
        for _ in range(3):
            alone.train_epoch()
        assert_close_runs(solver, alone)


@pytest.mark.parametrize("rule", sorted(UPDATE_RULES))
def test_a_restored_lane_goes_on_in_other_company(rule: str) -> None:
    """Saved in one pack and restored in another, a lane keeps its curve."""
    trial = Trial(rule=rule, rate=RATES[rule], dropout=0.4)
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
    for solver, trial in zip(solvers[:2], lanes[:2], strict=True):
        alone = replace(trial, num_epochs=1).solver(False)
        alone.train(return_best_params=False)
        assert_close_runs(solver, alone)
    assert_close_runs(solvers[2], train_alone(lanes[2], 1))


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
    lanes = [Trial(hidden=h, rule=rule, rate=RATES[rule], lr_decay=0.8) for h in (3, 9)]
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
