"""Study and tracker on every kind of store: files, PostgreSQL, an MLflow server."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.entities import Run

from servers import Postgres
from stores import STATUS, Stores
from support import (
    make_ended,
    make_experiment,
    make_record,
    make_report,
    make_spec,
    open_study,
    tell,
)
from sweep.errors import StoreUnavailable
from sweep.experiment import Experiment
from sweep.summary import read_summary
from sweep.trial import Ending, Event, State
from tracked import open_tracker

CURVE = {1: 0.1, 2: 1 / 3, 3: 0.7}  # which a float of 32 bits would not hold


@pytest.fixture
def experiment(stores: Stores) -> Experiment:
    """The digits, with these stores."""
    return make_experiment(stores.folder, *stores.overrides)


def child(stores: Stores, number: int = 0) -> Run:
    """A trial's run."""
    return stores.runs()[1][number]


def test_a_trial_is_stored_with_its_params_curve_and_value(
    stores: Stores, experiment: Experiment
) -> None:
    """Optuna's own client reads back what was told, to the last digit."""
    study = open_study(experiment)
    spec = study.ask()
    for epoch, accuracy in CURVE.items():
        study.report(make_report(epoch=epoch, accuracy=accuracy))
    tell(study, make_ended(accuracy=0.7))

    [trial] = stores.trials()
    assert experiment.hparams(trial.params) == spec.hparams
    assert trial.intermediate_values == CURVE
    assert (trial.state.name, trial.value) == ("COMPLETE", 0.7)


def test_each_ending_gives_its_state(stores: Stores, experiment: Experiment) -> None:
    """In the study, in its storage, and to whoever only reads it."""
    study = open_study(experiment)
    for spec, ending in [(study.ask(), ending) for ending in Ending]:
        tell(study, make_ended(spec.number, ending, attempt=spec.attempt, reason="so"))

    assert study.states == {t.number: t.state.name for t in stores.trials()}
    assert read_summary(experiment) == study.summary()


def test_a_study_goes_on_with_the_trial_that_ran(
    stores: Stores, experiment: Experiment
) -> None:
    """It is the next attempt of the same trial; no point of its curve is doubled."""
    study = open_study(experiment)
    first = study.ask()
    study.report(make_report(epoch=1, accuracy=0.4))

    study = open_study(experiment)
    second = study.ask()
    assert (second.number, second.hparams) == (first.number, first.hparams)
    assert second.attempt == first.attempt + 1
    for epoch in (1, 2):
        study.report(make_report(epoch=epoch, accuracy=0.4, attempt=1))
    [trial] = stores.trials()
    assert trial.intermediate_values == {1: 0.4, 2: 0.4}


def test_a_trial_is_a_nested_run_with_params_curves_and_checkpoint(
    stores: Stores, experiment: Experiment, tmp_path: Path
) -> None:
    """MLflow's own client reads back what was written, artifacts too."""
    tracker = open_tracker(experiment)
    reports = [make_report(epoch=e, accuracy=a) for e, a in CURVE.items()]
    tracker.write([Event(1000, make_spec()), *(Event(2000, r) for r in reports)])
    ended = make_ended(accuracy=0.7, checkpoint=b"net")
    tracker.write([Event(9000, ended, make_record(value=0.7))])
    tracker.close("FINISHED")

    parent, run = stores.runs()[0], child(stores)
    settings = {key: str(value) for key, value in make_spec().hparams.items()}
    assert run.data.params == {**settings, "seed": "0"}
    assert stores.curve(run, "val_accuracy") == CURVE
    assert run.data.metrics["best_val_accuracy"] == 0.7
    assert (run.info.start_time, run.info.end_time) == (1000, 9000)
    assert {run.info.status, parent.info.status} == {"FINISHED"}
    for of, name in ((run, "checkpoint"), (parent, "best")):
        artifact = stores.artifact(of, f"{name}/best.safetensors", tmp_path)
        assert artifact.read_bytes() == b"net"


def test_losses_that_are_not_finite_are_kept(
    stores: Stores, experiment: Experiment
) -> None:
    """NaN as NaN, infinity as the largest number, as MLflow has them."""
    report = replace(make_report(), train_loss=math.nan, losses=((1, math.inf),))
    open_tracker(experiment).write([Event(1000, make_spec()), Event(2000, report)])

    assert math.isnan(stores.curve(child(stores), "train_loss")[1])
    assert stores.curve(child(stores), "loss")[1] > 1e308


def test_a_run_that_was_left_open_goes_on(
    stores: Stores, experiment: Experiment
) -> None:
    """A second session finds it, gives it its trial's state, and doubles no point."""
    events = [Event(1000, make_spec()), Event(2000, make_report(epoch=1))]
    open_tracker(experiment).write(events)
    tracker = open_tracker(experiment, t0=State.WAITING)
    assert child(stores).info.status == STATUS["WAITING"]

    tracker.write(
        [Event(5000, make_spec(attempt=1)), Event(5002, make_report(epoch=2))]
    )
    assert child(stores).info.status == STATUS["RUNNING"]
    assert stores.curve(child(stores), "val_accuracy") == {1: 0.5, 2: 0.5}


def test_events_that_are_written_twice_are_there_once(
    stores: Stores, experiment: Experiment
) -> None:
    """A batch that failed half way can be sent once more."""
    tracker = open_tracker(experiment)
    events = [Event(1000, make_spec()), Event(2000, make_report())]
    tracker.write(events)
    tracker.write_again()

    assert stores.curve(child(stores), "loss") == {1: 1.1, 2: 1.0}


@pytest.mark.parametrize("stores", ["postgresql"], indirect=True)
def test_a_database_that_was_restarted_takes_the_same_events_again(
    stores: Stores, experiment: Experiment, postgres: Postgres
) -> None:
    """The broken connection is told as a store that does not answer now."""
    tracker = open_tracker(experiment)
    events = [Event(1000, make_spec()), Event(2000, make_report())]
    postgres.stop()
    with pytest.raises(StoreUnavailable):
        tracker.write(events)
    postgres.start()
    tracker.write([])

    assert stores.curve(child(stores), "loss") == {1: 1.1, 2: 1.0}
