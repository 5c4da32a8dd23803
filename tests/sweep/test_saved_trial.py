"""A trial's state on disk, and the attempt that goes on from it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fcnet.image_data import Data
from support import make_objective, make_spec
from sweep.objective import Objective
from sweep.saved_trial import load_trial
from sweep.trial import Ending, EpochReport, Message, Notice, TrialEnded, TrialSpec


def advance(objective: Objective, *start: TrialSpec, epochs: int = 1) -> list[Message]:
    """Begin trials, and train all lanes for so many epochs."""
    said = [*objective.advance(start, {})]
    for _ in range(epochs - 1):
        said += objective.advance([], {})
    return said


def without_clock(messages: list[Message]) -> list[Message]:
    """Messages without the times and attempts, in which a rerun may differ."""
    return [
        m if isinstance(m, Notice) else replace(m, seconds=0.0, attempt=0)
        for m in messages
    ]


def files(folder: Path) -> list[Path]:
    """A trial's states, oldest first."""
    return sorted(folder.glob("*.safetensors"))


@pytest.mark.parametrize(
    "hparams",
    [
        {},
        {"update_rule": "sgd_momentum", "momentum": 0.9, "reg": 1e-3},
        {"update_rule": "adam", "beta1": 0.9, "beta2": 0.999, "dropout": 0.2},
        {"update_rule": "rmsprop", "decay_rate": 0.99, "schedule": "cosine"},
    ],
)
@pytest.mark.parametrize("left_after", [1, 3])
def test_a_resumed_trial_is_an_uninterrupted_one_bit_for_bit(
    digits: Data, tmp_path: Path, hparams: dict[str, Any], left_after: int
) -> None:
    """Every later report and the checkpoint, whichever worker goes on with it."""
    spec = make_spec(3, num_epochs=5, folder=tmp_path, **hparams)
    whole = advance(make_objective(digits), replace(spec, folder=None), epochs=5)

    begun = advance(make_objective(digits), spec, epochs=left_after)
    again = replace(spec, attempt=1, known_epochs=left_after)
    rest = advance(make_objective(digits), again, epochs=5 - left_after)
    assert without_clock([*begun, *rest]) == without_clock(whole)
    assert isinstance(rest[-1], TrialEnded)
    assert rest[-1].attempt == 1
    assert rest[-1].checkpoint is not None


def test_epochs_that_were_trained_and_never_heard_of_are_reported(
    digits: Data, tmp_path: Path
) -> None:
    """The state may be ahead of the study: its epochs are not trained once more."""
    spec = make_spec(num_epochs=5, folder=tmp_path)
    begun = advance(make_objective(digits), spec, epochs=3)
    said = advance(make_objective(digits), replace(spec, known_epochs=1))

    assert without_clock(said[:2]) == without_clock(begun[1:3])
    assert [m.epoch for m in said if isinstance(m, EpochReport)] == [2, 3, 4]


def test_epochs_that_the_study_knows_are_not_reported_again(
    digits: Data, tmp_path: Path
) -> None:
    """A trial without a state trains them once more, and says nothing of them."""
    spec = make_spec(num_epochs=3, folder=tmp_path, attempt=1)
    said = advance(make_objective(digits), replace(spec, known_epochs=2), epochs=3)

    assert [m.epoch for m in said if isinstance(m, EpochReport)] == [3]


def test_a_trial_that_was_all_trained_ends_at_once(
    digits: Data, tmp_path: Path
) -> None:
    """Its driver was killed before it heard of the end."""
    spec = make_spec(num_epochs=2, folder=tmp_path)
    objective = make_objective(digits)
    objective.advance([spec], {})
    lane = objective._lanes[0]
    objective.advance([], {})
    lane.save()
    [report, ended] = make_objective(digits).advance(
        [replace(spec, known_epochs=1)], {}
    )

    assert isinstance(report, EpochReport)
    assert report.epoch == 2
    assert isinstance(ended, TrialEnded)
    assert ended.ending is Ending.COMPLETE


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [cut, change, empty, Path.unlink])
def test_a_torn_state_falls_back_to_the_one_before_it(
    digits: Data, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """And if that is torn too, the trial begins anew."""
    spec = make_spec(num_epochs=5, folder=tmp_path)
    advance(make_objective(digits), spec, epochs=3)
    before, newest = files(tmp_path)
    spoil(newest)

    saved = load_trial(spec)
    assert saved is not None
    assert saved.epoch == 2
    spoil(before)
    assert load_trial(spec) is None


def test_a_state_of_other_settings_or_another_seed_is_left_alone(
    digits: Data, tmp_path: Path
) -> None:
    """It would be another trial's."""
    spec = make_spec(folder=tmp_path)
    advance(make_objective(digits), spec)

    assert load_trial(spec) is not None
    assert load_trial(make_spec(folder=tmp_path, reg=0.1)) is None
    assert load_trial(replace(spec, seed=1)) is None
    assert load_trial(replace(spec, folder=None)) is None


def test_states_are_saved_so_often_and_when_a_trial_is_interrupted(
    digits: Data, tmp_path: Path
) -> None:
    """Short trials write nothing, but for those that go on another time."""
    objective = make_objective(digits, save_every=3600.0)
    specs = [make_spec(n, num_epochs=3, folder=tmp_path / str(n)) for n in (0, 1)]
    advance(objective, *specs)
    assert files(tmp_path / "0") == []

    objective.advance([], {0: Ending.INTERRUPTED, 1: Ending.PRUNED})
    assert len(files(tmp_path / "0")) == 1
    assert files(tmp_path / "1") == []


def test_a_trial_that_is_done_with_leaves_no_state(
    digits: Data, tmp_path: Path
) -> None:
    """It goes with the next call, which means that its end has been heard."""
    objective = make_objective(digits)
    advance(objective, make_spec(num_epochs=2, folder=tmp_path / "0"), epochs=2)
    assert files(tmp_path / "0")

    objective.advance([], {})
    assert not (tmp_path / "0").exists()


def test_where_states_cannot_be_saved_training_goes_on(
    digits: Data, tmp_path: Path
) -> None:
    """People are told once, with the reason."""
    (tmp_path / "file").touch()
    spec = make_spec(num_epochs=3, folder=tmp_path / "file" / "trial")
    said = advance(make_objective(digits), spec, epochs=3)

    [notice] = [m for m in said if isinstance(m, Notice)]
    assert "trials cannot be saved while they train: Not a directory" in notice.text
    assert isinstance(said[-1], TrialEnded)
    assert said[-1].ending is Ending.COMPLETE
