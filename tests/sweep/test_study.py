"""The study: what it proposes, what it keeps, and how it goes on after an end."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from support import make_ended, make_experiment, make_report, open_study, tell
from sweep.errors import StoreError
from sweep.experiment import Experiment
from sweep.study import OptunaStudy
from sweep.summary import read_summary
from sweep.trial import Ending, State, TrialSpec


def stored(experiment: Experiment) -> list[FrozenTrial]:
    """The study's trials as Optuna's own client reads them."""
    return optuna.load_study(
        study_name=experiment.name, storage=experiment.study.storage
    ).trials


def end(study: OptunaStudy, spec: TrialSpec, ending: Ending) -> State:
    """End a trial, and return the state that the study gives it."""
    ended = make_ended(spec.number, ending, attempt=spec.attempt, reason="so it was")
    return tell(study, ended).state


def test_a_trial_is_stored_as_it_was_proposed(tmp_path: Path) -> None:
    """Optuna's own client sees number, state, hyperparameters and distributions."""
    experiment = make_experiment(tmp_path)
    spec = open_study(experiment).ask()

    [trial] = stored(experiment)
    assert trial.state == TrialState.RUNNING
    assert trial.number == spec.number == 0
    assert experiment.hparams(trial.params) == spec.hparams
    assert trial.distributions["hidden_dim"] == optuna.distributions.IntDistribution(
        4, 16
    )


def test_a_complete_trial_is_stored_with_its_curve_and_best_value(
    tmp_path: Path,
) -> None:
    """The value is the best epoch's, the curve has one point an epoch."""
    experiment = make_experiment(tmp_path)
    study = open_study(experiment)
    study.ask()
    for epoch, accuracy in enumerate((0.3, 0.7, 0.6), 1):
        study.report(make_report(epoch=epoch, accuracy=accuracy))
    tell(study, make_ended(accuracy=0.7))

    [trial] = stored(experiment)
    assert trial.state == TrialState.COMPLETE
    assert trial.value == 0.7
    assert trial.intermediate_values == {1: 0.3, 2: 0.7, 3: 0.6}


def test_the_last_value_is_told_where_the_yaml_says_so(tmp_path: Path) -> None:
    """study.value chooses between the best epoch and the last."""
    study = open_study(make_experiment(tmp_path, "study.value=last_val_accuracy"))
    study.ask()
    for epoch, accuracy in enumerate((0.7, 0.6), 1):
        study.report(make_report(epoch=epoch, accuracy=accuracy))

    assert tell(study, make_ended(accuracy=0.7)).value == 0.6


@pytest.mark.parametrize(
    ("ending", "state", "reason"),
    [
        (Ending.COMPLETE, State.COMPLETE, None),
        (Ending.PRUNED, State.PRUNED, None),
        (Ending.DIVERGED, State.PRUNED, "diverged"),
        (Ending.FAILED, State.FAIL, "so it was"),
        (Ending.INTERRUPTED, State.WAITING, None),
        (Ending.LOST, State.WAITING, None),
        (Ending.OUT_OF_MEMORY, State.WAITING, None),
    ],
)
def test_each_ending_gives_its_state_in_memory_and_in_the_store(
    tmp_path: Path, ending: Ending, state: State, reason: str | None
) -> None:
    """A diverged trial counts as pruned, so that the sampler learns to stay away."""
    experiment = make_experiment(tmp_path)
    study = open_study(experiment)

    assert end(study, study.ask(), ending) is state
    [trial] = stored(experiment)
    assert trial.state.name == state
    assert trial.user_attrs.get("reason") == reason
    assert study.states == {0: state}


def test_only_complete_and_pruned_trials_count_as_done(tmp_path: Path) -> None:
    """A failed or interrupted trial is still owed."""
    study = open_study(make_experiment(tmp_path))
    for ending in Ending:
        end(study, study.ask(), ending)

    assert study.done == 3


def test_an_interrupted_trial_goes_on_as_its_own_next_attempt(tmp_path: Path) -> None:
    """Number and hyperparameters stay; points it had reported are not doubled."""
    experiment = make_experiment(tmp_path)
    study = open_study(experiment)
    first = study.ask()
    study.report(make_report(epoch=1, accuracy=0.4))
    end(study, first, Ending.INTERRUPTED)

    study = open_study(experiment)
    second = study.ask()
    assert (second.number, second.attempt) == (first.number, 1)
    assert second.hparams == first.hparams
    study.report(make_report(epoch=1, accuracy=0.9, attempt=1))
    study.report(make_report(epoch=2, accuracy=0.5, attempt=1))
    tell(study, make_ended(accuracy=0.5, attempt=1))
    assert stored(experiment)[0].intermediate_values == {1: 0.4, 2: 0.5}


def test_a_trial_that_a_dead_driver_left_running_waits_for_its_next_attempt(
    tmp_path: Path,
) -> None:
    """Opening the study is enough; nothing is RUNNING then, and nothing was lost."""
    experiment = make_experiment(tmp_path)
    study = open_study(experiment)
    left = study.ask()

    study = open_study(experiment)
    assert study.states == {0: State.WAITING}
    spec = study.ask()
    assert (spec.number, spec.attempt, spec.hparams) == (0, 1, left.hparams)


def test_a_trial_whose_workers_keep_dying_fails_in_the_end(tmp_path: Path) -> None:
    """It is tried again a few times, and not for ever."""
    study = open_study(make_experiment(tmp_path, "study.max_lost=2"))
    states = [end(study, study.ask(), Ending.LOST) for _ in range(3)]

    assert states == [State.WAITING, State.WAITING, State.FAIL]
    assert list(study.states) == [0]


def test_a_trial_that_waits_again_goes_before_new_ones(tmp_path: Path) -> None:
    """However many others were proposed since."""
    study = open_study(make_experiment(tmp_path))
    lost, *_ = [study.ask() for _ in range(3)]
    end(study, lost, Ending.LOST)

    again = study.ask()
    assert (again.number, again.attempt, again.hparams) == (0, 1, lost.hparams)
    assert study.ask().number == 3


def test_a_trial_is_stored_as_optuna_itself_would_store_it(tmp_path: Path) -> None:
    """Every field but the times, which are near."""
    experiment = make_experiment(tmp_path)
    study = open_study(experiment)
    study.ask()
    study.report(make_report(accuracy=0.25))
    end(study, study.ask(), Ending.DIVERGED)
    tell(study, make_ended(accuracy=0.25))
    own = optuna.create_study(
        study_name="by optuna", storage=experiment.study.storage, direction="maximize"
    )
    own.add_trials(stored(experiment))

    for ours, optunas in zip(stored(experiment), own.trials, strict=True):
        assert ours.datetime_start is not None
        assert ours.datetime_complete is not None
        assert abs(ours.datetime_complete - datetime.now()) < timedelta(minutes=1)
        assert ours.datetime_start <= ours.datetime_complete
        optunas._trial_id = ours._trial_id
        assert ours == optunas


ONE_POINT = """\
name: digits
data: {dataset: digits}
model: {hidden_dim: {choice: [8]}}
study: {sampler: random, pruner: none}
"""


@pytest.mark.parametrize("ending", [Ending.COMPLETE, Ending.PRUNED, Ending.DIVERGED])
def test_a_trial_of_known_hyperparameters_gets_the_known_result(
    tmp_path: Path, ending: Ending
) -> None:
    """Value, state, reason and curve, with the number of the trial it is taken from."""
    experiment = make_experiment(tmp_path, text=ONE_POINT)
    study = open_study(experiment)
    first = study.ask()
    assert study.find_same(first) is None
    study.report(make_report(epoch=1, accuracy=0.7))
    tell(study, make_ended(ending=ending, accuracy=0.7))

    ended = open_study(experiment)  # a study that goes on knows its results too
    spec = ended.ask()
    same = ended.find_same(spec)
    assert same is not None
    assert (same.same_as, same.ending) == (0, ending)
    assert (same.best_val_accuracy, same.best_epoch) == (0.7, 1)
    tell(ended, same)
    before, after = stored(experiment)
    assert (after.state, after.values) == (before.state, before.values)
    assert after.intermediate_values == before.intermediate_values
    assert after.user_attrs == {**before.user_attrs, "same_as": 0}
    assert ended.done == 2


def test_a_failed_trial_is_no_known_result(tmp_path: Path) -> None:
    """It says nothing about its hyperparameters."""
    study = open_study(make_experiment(tmp_path, text=ONE_POINT))
    end(study, study.ask(), Ending.FAILED)

    assert study.find_same(study.ask()) is None


def test_no_more_trials_are_random_than_asked_for_however_many_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From then on TPE has its say, as soon as there is a result."""
    modelled: list[int] = []
    sample = optuna.samplers.TPESampler._sample

    def spy(sampler: Any, study: Any, trial: FrozenTrial, space: Any) -> Any:
        modelled.append(trial.number)
        return sample(sampler, study, trial, space)

    monkeypatch.setattr(optuna.samplers.TPESampler, "_sample", spy)
    study = open_study(make_experiment(tmp_path, "study.startup_trials=4"))
    first = study.ask()
    end(study, first, Ending.PRUNED)
    for _ in range(6):
        study.ask()

    assert modelled == [4, 5, 6]


def test_enqueued_settings_are_tried_first_and_once(tmp_path: Path) -> None:
    """Opening the study again does not enqueue them again."""
    queued = "study.enqueue=[{hidden_dim: 7, learning_rate: 0.05}, {hidden_dim: 9}]"
    experiment = make_experiment(tmp_path, queued)
    study = open_study(experiment)
    first = study.ask()
    tell(study, make_ended(first.number))

    study = open_study(experiment)
    second = study.ask()
    third = study.ask()
    assert first.hparams["hidden_dim"] == 7
    assert first.hparams["learning_rate"] == 0.05
    assert second.hparams["hidden_dim"] == 9
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert len(stored(experiment)) == 3


def test_a_study_that_goes_on_does_not_propose_its_first_trials_again(
    tmp_path: Path,
) -> None:
    """The sampler's seed moves on with the trials there are."""
    experiment = make_experiment(tmp_path, "study.sampler=random")
    study = open_study(experiment)
    first = study.ask()
    end(study, first, Ending.COMPLETE)

    assert open_study(experiment).ask().hparams != first.hparams


def test_the_same_seed_proposes_the_same_trials(tmp_path: Path) -> None:
    """Two studies alike are alike; another seed is another study."""
    proposals = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        experiment = make_experiment(tmp_path / name, f"study.seed={seed}")
        study = open_study(experiment)
        proposals.append([study.ask().hparams for _ in range(3)])

    assert proposals[0] == proposals[1] != proposals[2]


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("solver.batch_size", "100", "50"),
        ("data.normalize", "mean", "pixel"),
        ("data.flip", "False", "True"),
    ],
)
def test_a_study_made_with_other_settings_is_refused(
    tmp_path: Path, key: str, old: str, new: str
) -> None:
    """Its trials would not compare; the message says what differs."""
    open_study(make_experiment(tmp_path))
    with pytest.raises(StoreError, match=f"{key} was {old} and is {new}"):
        open_study(make_experiment(tmp_path, f"{key}={new.lower()}"))


def test_more_trials_another_sampler_or_pruner_are_no_other_settings(
    tmp_path: Path,
) -> None:
    """What does not change a trial may change from one run to the next."""
    open_study(make_experiment(tmp_path)).ask()
    more = ("study.trials=9", "study.sampler=random", "study.pruner=median")

    assert open_study(make_experiment(tmp_path, *more)).ask().attempt == 1


def test_a_conditional_setting_is_proposed_only_where_it_has_a_meaning(
    tmp_path: Path,
) -> None:
    """Each trial has its rule's own settings, its layers' widths, and no others."""
    experiment = make_experiment(
        tmp_path,
        "solver.update_rule={choice: [sgd, sgd_momentum]}",
        "solver.momentum={float: [0.5, 0.99]}",
        "model={hidden_dims: {layers: {int: [1, 3]}, width: {int: [8, 64]}}}",
    )
    study = open_study(experiment)
    for _ in range(20):
        hparams = study.ask().hparams
        assert ("momentum" in hparams) == (hparams["update_rule"] == "sgd_momentum")
        widths = [key for key in hparams if key.startswith("width_")]
        assert len(widths) == hparams["layers"]

    assert len({len(trial.params) for trial in stored(experiment)}) > 1
    for trial in stored(experiment):
        tell(study, make_ended(trial.number, accuracy=0.1))
    assert {"width_1", "layers"} <= study.ask().hparams.keys()


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "gp", "cmaes", "qmc"])
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_every_sampler_proposes_within_the_space(tmp_path: Path, sampler: str) -> None:
    """Ten trials end to end, running ones among them, with each."""
    steps = "solver.learning_rate={float: [0.1, 0.5], step: 0.1}"
    experiment = make_experiment(tmp_path, f"study.sampler={sampler}", steps)
    study = open_study(experiment)
    for _ in range(5):
        for spec in (study.ask(), study.ask()):
            for name, distribution in experiment.space.items():
                assert distribution.contains(spec.hparams[name])
            study.report(make_report(spec.number, accuracy=0.1 * spec.number))
            tell(study, make_ended(spec.number, accuracy=0.1 * spec.number))

    assert study.done == 10


def test_a_grid_proposes_each_point_once(tmp_path: Path) -> None:
    """All points are tried, none twice, also across two sessions."""
    grid = ("study.sampler=grid", "model.hidden_dim={choice: [4, 8, 12]}")
    rates = "solver.learning_rate={choice: [0.1, 0.2]}"
    experiment = make_experiment(tmp_path, *grid, rates, "study.trials=9")
    tried = []
    for trials in (2, 4):
        study = open_study(experiment)
        for _ in range(trials):
            spec = study.ask()
            tried.append((spec.hparams["hidden_dim"], spec.hparams["learning_rate"]))
            tell(study, make_ended(spec.number))

    assert len(tried) == len(set(tried)) == experiment.trials == 6


@pytest.mark.parametrize("pruner", ["median", "percentile", "hyperband", "asha"])
def test_every_pruner_gives_a_hopeless_trial_up(tmp_path: Path, pruner: str) -> None:
    """After a dozen good trials, one that stays at chance is pruned before its end."""
    experiment = make_experiment(
        tmp_path, f"study.pruner={pruner}", "solver.num_epochs=9"
    )
    study = open_study(experiment)
    for _ in range(12):
        spec = study.ask()
        for epoch in range(1, 10):
            study.report(make_report(spec.number, epoch, 0.9))
        tell(study, make_ended(spec.number, accuracy=0.9))
    hopeless = [study.ask() for _ in range(4)]

    assert any(
        study.report(make_report(spec.number, epoch, 0.1))
        for spec in hopeless
        for epoch in range(1, 9)
    )


def test_the_summary_ranks_by_value_and_counts_every_state(tmp_path: Path) -> None:
    """The best is the best that completed; the store says the same as the study."""
    experiment = make_experiment(tmp_path)
    study = open_study(experiment)
    for accuracy, ending in (
        (0.5, Ending.COMPLETE),
        (0.9, Ending.PRUNED),
        (0.7, Ending.COMPLETE),
        (None, Ending.DIVERGED),
    ):
        spec = study.ask()
        if accuracy is not None:
            study.report(make_report(spec.number, 1, accuracy))
        tell(study, make_ended(spec.number, ending, accuracy))
    summary = study.summary()

    assert [record.number for record in summary.ranking] == [1, 2, 0]
    assert summary.best is not None
    assert (summary.best.number, summary.best.epoch) == (2, 1)
    assert summary.counts == {
        State.WAITING: 0,
        State.RUNNING: 0,
        State.COMPLETE: 2,
        State.PRUNED: 2,
        State.FAIL: 0,
    }
    assert read_summary(experiment) == summary


def test_reading_a_study_that_is_not_there_makes_none(tmp_path: Path) -> None:
    """No file appears, and a store without the study stays without it."""
    experiment = make_experiment(tmp_path)
    assert read_summary(experiment) is None
    assert not (tmp_path / "optuna.db").exists()

    open_study(make_experiment(tmp_path, "name=other"))
    assert read_summary(experiment) is None


@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/x.db", "nonsense://x"])
def test_a_storage_that_cannot_be_opened_is_named(tmp_path: Path, url: str) -> None:
    """The message has the key, the address, and addresses that would do."""
    with pytest.raises(StoreError, match="study.storage: found .*allowed: sqlite"):
        open_study(make_experiment(tmp_path, f"study.storage={url}"))
