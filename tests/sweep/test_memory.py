"""What samplers and pruners are shown of a long study."""

import optuna
import pytest
from optuna.trial import TrialState

from sweep.memory import Memory


@pytest.fixture
def memory() -> Memory:
    """A limited memory of 1,000 finished trials, number 7 the best, and one waiting."""
    memory = Memory()
    study = optuna.create_study(storage=memory, direction="maximize")
    study.enqueue_trial({"x": 0.5})
    values = [2000.0 if number == 7 else float(-number) for number in range(1, 1001)]
    study.add_trials([optuna.create_trial(value=value) for value in values])
    memory.limit()
    return memory


def shown(memory: Memory, *states: TrialState) -> list[int]:
    trials = memory.get_all_trials(0, deepcopy=False, states=states or None)
    return [trial.number for trial in trials]


def test_a_long_study_shows_its_unfinished_best_and_most_recent_trials(
    memory: Memory,
) -> None:
    """So that the time for a proposal does not grow with the study."""
    assert shown(memory) == [*range(26), *range(826, 1001)]
    assert shown(memory, TrialState.WAITING) == [0]
    assert 0 not in shown(memory, TrialState.COMPLETE)


def test_nothing_is_forgotten(memory: Memory) -> None:
    """The whole study and its best trial stay there."""
    assert len(memory.all_trials()) == 1001
    assert memory.get_best_trial(0).number == 7


def test_what_is_shown_may_be_a_copy(memory: Memory) -> None:
    """Optuna asks for one where a user could change it."""
    copied = memory.get_all_trials(0, deepcopy=True)[0]
    copied.params["x"] = 1.0

    assert memory.get_trial(0).params == {}
