"""A worker's work: its messages, its lanes, what it keeps of a network."""

import json
import math
import pickle
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fcnet import Pack, Solver
from fcnet.image_data import Data
from fcnet.lockstep import Lockstep
from support import (
    InProcessPool,
    drain,
    make_experiment,
    make_objective,
    make_spec,
    score,
)
from sweep.calibration import choose
from sweep.checkpoint import read_checkpoint
from sweep.data import find_data, load_data
from sweep.errors import DataError
from sweep.lane import MAX_LOSSES
from sweep.objective import Objective, Task
from sweep.paths import pack_cache
from sweep.trial import Ending, EpochReport, Message, Notice, TrialEnded, TrialSpec


@pytest.fixture
def objective(digits: Data) -> Objective:
    return make_objective(digits)


def train(objective: Objective, *specs: TrialSpec) -> list[Message]:
    """All that these trials say from begin to end, side by side."""
    pool = InProcessPool(objective, len(specs))
    for spec in specs:
        pool.submit(spec)
    said = drain(pool, len(specs))
    return [message for spec in specs for message in said[spec.number]]


def curves(messages: list[Message]) -> list[EpochReport]:
    """The reports without what a clock put into them."""
    reports = [m for m in messages if isinstance(m, EpochReport)]
    return [replace(report, seconds=0.0) for report in reports]


def test_a_trial_reports_each_epoch_and_ends_once(objective: Objective) -> None:
    """Epochs count from 1, iterations over all epochs, and the end is the last word."""
    *reports, ended = train(objective, make_spec(number=4, attempt=2))

    assert [m.epoch for m in reports if isinstance(m, EpochReport)] == [1, 2, 3]
    assert {(m.number, m.attempt) for m in curves([*reports, ended])} == {(4, 2)}
    assert isinstance(ended, TrialEnded)
    assert ended.ending is Ending.COMPLETE
    # 1,150 images in minibatches of 100 are 12 iterations, the last a ragged one
    assert [step for report in curves(reports) for step, _ in report.losses] == list(
        range(1, 37)
    )


def test_a_report_has_the_epoch_s_own_learning_rate_and_mean_loss(
    objective: Objective,
) -> None:
    """The decay shows from the second epoch on."""
    reports = curves(train(objective, make_spec(lr_decay=0.5)))

    assert [report.learning_rate for report in reports] == [0.1, 0.05, 0.025]
    for report in reports:
        losses = [loss for _, loss in report.losses]
        assert math.isclose(report.train_loss, sum(losses) / len(losses))


def test_a_long_loss_curve_is_thinned(digits: Data) -> None:
    """However many iterations, at most MAX_LOSSES points of the curve are kept."""
    objective = make_objective(digits)
    reports = curves(train(objective, make_spec(batch_size=1, num_epochs=2)))
    steps = [step for report in reports for step, _ in report.losses]

    assert len(digits.y_train) < MAX_LOSSES * 2 < 2 * len(digits.y_train)
    assert MAX_LOSSES / 2 < len(steps) <= MAX_LOSSES
    strides = {after - before for before, after in pairwise(steps)}
    assert len(strides) == 1


def test_a_trial_s_curve_is_the_same_alone_and_in_company(digits: Data) -> None:
    """But for rounding: companions stand in the same matrix; a rerun is bit for bit."""
    company = [make_spec(n, hidden_dim=4 + n, learning_rate=0.2) for n in (1, 2)]
    alone = curves(train(make_objective(digits), make_spec(0)))
    again = curves(train(make_objective(digits), make_spec(0)))
    together = curves(train(make_objective(digits), make_spec(0), *company))

    assert alone == again
    for one, other in zip(alone, together[:3], strict=True):
        assert one.val_accuracy == pytest.approx(other.val_accuracy, abs=2 / 287)
        assert [step for step, _ in one.losses] == [step for step, _ in other.losses]
        losses = [loss for _, loss in other.losses]
        assert [loss for _, loss in one.losses] == pytest.approx(losses, rel=1e-4)


def test_trials_of_one_seed_share_the_order_of_their_minibatches(
    objective: Objective,
) -> None:
    """Trials that differ in reg by nothing but its name have the same curve."""
    first, second = (
        curves(train(objective, make_spec(0, num_epochs=1))),
        curves(train(objective, make_spec(1, num_epochs=1))),
    )

    assert replace(second[0], number=0) == first[0]


@pytest.mark.parametrize("normalize", ["mean", "channel", "pixel"])
def test_the_checkpoint_s_network_has_the_recorded_accuracy(
    normalize: str, tmp_path: Path
) -> None:
    """The weights are the best epoch's, and inputs are made as they were in training.

    Mirrored digits are not scored: the accuracy is that of the images as they are.
    """
    settings = f"data.normalize={normalize}", "data.flip=true"
    data = load_data(make_experiment(tmp_path, *settings))
    objective = make_objective(data)
    spec = make_spec(3, learning_rate=3.0, num_epochs=8)
    *reports, ended = train(objective, spec)
    assert isinstance(ended, TrialEnded)
    assert ended.checkpoint is not None
    file = tmp_path / "best.safetensors"
    file.write_bytes(ended.checkpoint)
    checkpoint = read_checkpoint(file)

    accuracies = [report.val_accuracy for report in curves(reports)]
    assert ended.best_val_accuracy == checkpoint.info.val_accuracy == max(accuracies)
    assert ended.best_epoch == 1 + accuracies.index(max(accuracies)) < 8
    assert score(checkpoint, data) == ended.best_val_accuracy
    assert checkpoint.info.hparams == spec.hparams
    assert checkpoint.info.classes == data.classes
    assert checkpoint.info.image_shape == (1, 8, 8)
    assert checkpoint.scale.tolist() == data.scale.astype("float32").tolist()
    assert checkpoint.shift.tolist() == data.shift.astype("float32").tolist()


def test_images_stay_bytes_and_flips_change_the_curve_reproducibly(
    digits: Data,
) -> None:
    """Data cross to workers as uint8; with flips a rerun is bit for bit the same."""
    flipping = replace(digits, flip=True)
    plain, *flipped = (
        curves(train(make_objective(data), make_spec()))
        for data in (digits, flipping, flipping)
    )

    assert digits.X_train.dtype == digits.X_val.dtype == np.uint8
    assert flipped[0] == flipped[1] != plain


@pytest.mark.parametrize("rule", ["sgd", "sgd_momentum", "rmsprop", "adam"])
@pytest.mark.parametrize("schedule", ["constant", "exponential", "step", "cosine"])
def test_every_rule_and_schedule_trains(
    objective: Objective, rule: str, schedule: str
) -> None:
    """A deep net with dropout learns the digits with each, and none fails."""
    spec = make_spec(update_rule=rule, schedule=schedule, dropout=0.1, num_epochs=8)
    hparams = {k: v for k, v in spec.hparams.items() if k != "hidden_dim"}
    rate = 0.2 if rule.startswith("sgd") else 0.01
    deep = {"layers": 2, "width_1": 40, "width_2": 30, "learning_rate": rate}
    spec = replace(spec, hparams={**hparams, **deep, "weight_scale": 0.2})
    *_, ended = train(objective, spec)

    assert isinstance(ended, TrialEnded)
    assert ended.ending is Ending.COMPLETE, ended.reason
    assert ended.best_val_accuracy is not None
    assert ended.best_val_accuracy > 0.8


def test_a_loss_that_is_not_finite_ends_that_trial_and_no_other(
    objective: Objective,
) -> None:
    """The companion's curve goes on as if nothing had happened."""
    wild = make_spec(0, learning_rate=1e30, weight_scale=10.0)
    messages = train(objective, wild, make_spec(1))
    ended = [m for m in messages if isinstance(m, TrialEnded)]

    assert [e.ending for e in ended] == [Ending.DIVERGED, Ending.COMPLETE]
    assert ended[0].reason is not None
    assert "loss" in ended[0].reason
    assert len([r for r in curves(messages) if r.number == 1]) == 3


def test_an_exception_ends_that_trial_and_no_other(objective: Objective) -> None:
    """A trial that cannot even begin fails with its traceback."""
    broken = make_spec(0, update_rule="no such rule")
    messages = train(objective, broken, make_spec(1))
    ended = [m for m in messages if isinstance(m, TrialEnded)]

    assert [e.ending for e in ended] == [Ending.FAILED, Ending.COMPLETE]
    assert ended[0].reason is not None
    assert "Traceback" in ended[0].reason
    assert "no such rule" in ended[0].reason


def test_a_stopped_trial_leaves_with_the_best_it_had(objective: Objective) -> None:
    """It is told why, trains no further epoch, and frees its lane."""
    objective.advance([make_spec(0)], {})
    [ended] = objective.advance([], {0: Ending.PRUNED})

    assert isinstance(ended, TrialEnded)
    assert (ended.ending, ended.best_epoch) == (Ending.PRUNED, 1)
    assert ended.checkpoint is not None
    assert objective.advance([], {}) == []


def test_a_trial_stopped_before_it_began_leaves_too(objective: Objective) -> None:
    """Its end has no epoch and no checkpoint."""
    [ended] = objective.advance([make_spec(0)], {0: Ending.INTERRUPTED})

    assert isinstance(ended, TrialEnded)
    assert (ended.best_epoch, ended.checkpoint) == (None, None)


def test_every_message_survives_pickling(objective: Objective) -> None:
    """What crosses a process arrives as it was sent."""
    messages = [make_spec(), *train(objective, make_spec())]

    assert pickle.loads(pickle.dumps(messages)) == messages


def test_data_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    """Neither looking nor loading raises anything but DataError."""
    nowhere = ("data.dataset=image_folder", f"data.root={tmp_path}/nowhere")
    experiment = make_experiment(tmp_path, *nowhere)

    assert not find_data(experiment)[0]
    with pytest.raises(DataError, match="data: .*nowhere"):
        load_data(experiment)


def test_the_trials_of_a_worker_are_one_computation(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three lanes at the same epoch train in one lockstep, epoch after epoch."""
    seen: list[int] = []
    train_lanes = Lockstep.train

    def watched(lockstep: Lockstep, lanes: Any, batches: Any) -> Any:
        seen.append(len(lanes))
        return train_lanes(lockstep, lanes, batches)

    monkeypatch.setattr(Lockstep, "train", watched)
    train(make_objective(digits), *(make_spec(n, hidden_dim=4 + n) for n in range(3)))

    assert seen == [3, 3, 3]


def test_out_of_memory_halves_the_pack_and_loses_no_epoch(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trials go on from where they stood, with a word to people, and no other."""
    specs = [make_spec(n, hidden_dim=4 + n) for n in range(5)]
    alone = [curves(train(make_objective(digits), spec)) for spec in specs]
    objective = make_objective(digits, lanes=5)
    train_epoch, epochs = Pack.train_epoch, iter(range(1, 99))

    def tight(pack: Pack, solvers: Sequence[Solver]) -> Any:
        if next(epochs) > 1 and len(solvers) > 2:
            raise torch.OutOfMemoryError("no room for more than two")
        return train_epoch(pack, solvers)

    monkeypatch.setattr(Pack, "train_epoch", tight)
    said = [m for n in range(3) for m in objective.advance(specs if n == 0 else (), {})]
    notices = [m.text for m in said if isinstance(m, Notice)]
    together = [[r for r in curves(said) if r.number == spec.number] for spec in specs]

    assert objective.lanes == 2
    assert notices == [
        "a worker ran out of memory with 5 trials at a time; from now on it trains 2"
    ]
    for one, other in zip(together, alone, strict=True):
        assert [r.epoch for r in one] == [1, 2, 3]
        assert [r.val_accuracy for r in one] == [r.val_accuracy for r in other]


def test_a_trial_whose_code_raises_leaves_its_companions_alone(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails with its traceback, they train on."""
    train_epoch = Pack.train_epoch

    def broken(pack: Pack, solvers: Sequence[Solver]) -> Any:
        if any(len(solver.model.params["b1"]) == 6 for solver in solvers):
            raise RuntimeError("a bug with six hidden units")
        return train_epoch(pack, solvers)

    monkeypatch.setattr(Pack, "train_epoch", broken)
    objective = make_objective(digits, lanes=5)
    specs = [make_spec(n, hidden_dim=4 + n, num_epochs=1) for n in range(5)]
    said = train(objective, *specs)
    endings = {m.number: m for m in said if isinstance(m, TrialEnded)}

    assert {n for n, m in endings.items() if m.ending is Ending.COMPLETE} == {
        0,
        1,
        3,
        4,
    }
    assert endings[2].ending is Ending.FAILED
    assert "a bug with six hidden units" in (endings[2].reason or "")
    assert objective.lanes == 5


def test_a_worker_measures_how_many_lanes_are_worth_it_once(
    digits: Data, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is kept beside the data sets, and asked for there the next time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    measured = Objective(Task(digits, 8, make_spec()), "cpu", threads=1)
    [(what, lanes)] = json.loads(pack_cache().read_text()).items()
    assert measured.lanes == lanes in (1, 2, 4, 8)
    assert "batch size 100, sgd, at most 8" in what

    pack_cache().write_text(json.dumps({what: 3}))
    assert Objective(Task(digits, 8, make_spec()), "cpu", threads=1).lanes == 3


def test_the_smallest_pack_that_is_nearly_as_fast_as_any_is_chosen() -> None:
    """Seconds by size: 4 lanes a second is as good as 4.1."""
    assert choose({1: 1.0, 2: 1.0, 4: 1.0, 8: 1.95}) == 4
    assert choose({1: 1.0, 2: 2.0}) == 1
    assert choose({1: 1.0, 2: 1.5}) == 2


def test_a_torn_file_of_pack_sizes_is_written_anew(
    digits: Data, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a cache, no more."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    pack_cache().parent.mkdir(parents=True)
    pack_cache().write_text('{"torn')
    lanes = Objective(Task(digits, 2, make_spec()), "cpu", threads=1).lanes

    assert list(json.loads(pack_cache().read_text()).values()) == [lanes]
