"""What is read back from MLflow, with MLflow's own client, after the tracker wrote."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mlflow
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from support import (
    make_ended,
    make_experiment,
    make_record,
    make_report,
    make_spec,
    open_study,
    tell,
)
from sweep import tracking
from sweep.config import load
from sweep.errors import StoreError
from sweep.event_log import EventLog, mark_sent
from sweep.experiment import Experiment
from sweep.run_writers import ClientWriter
from sweep.runs import NOTE, read_runs
from sweep.trial import Ending, Event, State, StudySummary
from tracked import EMPTY, Driver, open_tracker, opening


def client(experiment: Experiment) -> MlflowClient:
    return MlflowClient(experiment.mlflow.tracking_uri)


def runs(experiment: Experiment) -> dict[str, Run]:
    """Every run of the experiment by its name."""
    found = client(experiment).get_experiment_by_name(experiment.name)
    assert found is not None
    all_runs = client(experiment).search_runs([found.experiment_id])
    assert len({run.info.run_name for run in all_runs}) == len(all_runs)
    return {run.info.run_name: run for run in all_runs}


def curve(experiment: Experiment, run: Run, key: str) -> list[tuple[int, float]]:
    history = client(experiment).get_metric_history(run.info.run_id, key)
    return [(metric.step, metric.value) for metric in history]


def ended(state: State, ending: Ending = Ending.COMPLETE, **more: Any) -> Event:
    """The event of trial 0's end."""
    return Event(9000, make_ended(0, ending, **more), make_record(0, state))


def test_a_trial_is_a_nested_run_with_params_curves_and_end(folder: Path) -> None:
    """One parent, one child: tags, every setting, each epoch's metrics, status."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    reports = [Event(2000 + epoch, make_report(epoch=epoch)) for epoch in (1, 2)]
    tracker.write([Event(1000, make_spec()), *reports])
    tracker.write([ended(State.COMPLETE)])
    tracker.close("FINISHED")

    parent, child = runs(experiment)["digits"], runs(experiment)["trial-0000"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["sweep.study"] == "digits"
    assert child.data.tags["sweep.trial"] == "0"
    assert child.data.tags["sweep.state"] == "COMPLETE"
    assert child.data.tags["sweep.attempt"] == "0"
    assert child.data.tags["sweep.worker"] == "node/1"
    assert child.data.tags["sweep.lane"] == "2"
    assert child.data.tags["sweep.device"] == "cpu"
    assert child.data.params == {
        **{key: str(value) for key, value in make_spec().hparams.items()},
        "seed": "0",
    }
    assert curve(experiment, child, "val_accuracy") == [(1, 0.5), (2, 0.5)]
    assert curve(experiment, child, "train_loss") == [(1, 1.0), (2, 0.5)]
    assert curve(experiment, child, "loss") == [(1, 1.1), (2, 1.0), (3, 1.1), (4, 1.0)]
    assert child.data.metrics["best_val_accuracy"] == 0.5
    assert child.data.metrics["best_epoch"] == 1
    assert {child.info.status, parent.info.status} == {"FINISHED"}
    assert (child.info.start_time, child.info.end_time) == (1000, 9000)
    assert parent.data.tags["mlflow.source.git.commit"] == "abc"
    assert parent.data.tags["sweep.git.dirty"] == "true"


def test_a_trial_that_came_and_went_between_two_writes_is_written_whole(
    folder: Path,
) -> None:
    """All its events in one batch give the same run."""
    experiment = make_experiment(folder)
    events = [Event(1000, make_spec()), Event(2000, make_report())]
    open_tracker(experiment).write([*events, ended(State.COMPLETE)])

    child = runs(experiment)["trial-0000"]
    assert child.info.status == "FINISHED"
    assert child.data.tags["sweep.state"] == "COMPLETE"
    assert curve(experiment, child, "val_accuracy") == [(1, 0.5)]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.COMPLETE, "FINISHED"),
        (State.PRUNED, "KILLED"),
        (State.FAIL, "FAILED"),
        (State.WAITING, "SCHEDULED"),
    ],
)
def test_each_state_of_a_trial_has_its_status(
    folder: Path, state: State, status: str
) -> None:
    """What Optuna calls PRUNED, MLflow calls KILLED, and so on."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    tracker.write([Event(1000, make_spec()), ended(state)])

    child = runs(experiment)["trial-0000"]
    assert (child.info.status, child.data.tags["sweep.state"]) == (status, state)


def test_checkpoint_and_failure_are_artifacts(folder: Path) -> None:
    """The bytes come back as they were; a traceback is kept for failed trials alone."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    tracker.write([Event(1000, make_spec()), ended(State.COMPLETE, checkpoint=b"net")])
    failed = make_ended(1, Ending.FAILED, None, reason="Traceback: oh")
    record = make_record(1, State.FAIL, None)
    tracker.write([Event(1000, make_spec(1)), Event(2000, failed, record)])
    tracker.close("FINISHED")

    def read(run: str, name: str) -> str:
        uri = f"runs:/{runs(experiment)[run].info.run_id}/{name}"
        tracking = experiment.mlflow.tracking_uri
        path = mlflow.artifacts.download_artifacts(uri, tracking_uri=tracking)
        return Path(path).read_text()

    assert read("trial-0000", "checkpoint/best.safetensors") == "net"
    assert read("digits", "best/best.safetensors") == "net"
    assert read("trial-0001", "failure.txt") == "Traceback: oh"
    assert read("digits", "environment.json") == '{\n  "python": "3"\n}\n'
    (folder / "copy.yaml").write_text(read("digits", "experiment.yaml"))
    assert load(folder / "copy.yaml") == experiment


def test_a_result_taken_from_another_trial_says_so(folder: Path) -> None:
    """A tag names that trial, and the best value is there."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    tracker.write([Event(1000, make_spec()), ended(State.COMPLETE, same_as=3)])

    child = runs(experiment)["trial-0000"]
    assert child.data.tags["sweep.same_as"] == "3"
    assert child.data.metrics["best_val_accuracy"] == 0.5


def test_the_study_s_run_has_the_best_value_against_finished_trials(
    folder: Path,
) -> None:
    """Pruned trials count as finished, but only complete ones can be the best."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    outcomes = [
        (State.COMPLETE, 0.5),
        (State.PRUNED, 0.9),
        (State.FAIL, None),
        (State.COMPLETE, 0.4),
        (State.COMPLETE, 0.7),
    ]
    for number, (state, value) in enumerate(outcomes):
        record = make_record(number, state, value)
        said = make_ended(number, Ending.COMPLETE, value)
        tracker.write([Event(1, make_spec(number)), Event(2, said, record)])

    points = curve(experiment, runs(experiment)["digits"], "best_val_accuracy")
    assert points == [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.7)]


def test_a_trial_is_described_in_a_line(folder: Path) -> None:
    """Its state, its value, why it ended, and the settings that are searched."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    diverged = replace(make_record(1, State.PRUNED, None), reason="diverged")
    tracker.write([Event(1000, make_spec()), ended(State.COMPLETE)])
    other = make_ended(1, Ending.DIVERGED, None)
    tracker.write([Event(1000, make_spec(1)), Event(2000, other, diverged)])

    notes = [runs(experiment)[f"trial-000{n}"].data.tags[NOTE] for n in (0, 1)]
    settings = "hidden_dim 8 · learning_rate 0.1"
    assert notes[0] == f"**COMPLETE**, 0.5000 at epoch 1 · {settings}"
    assert notes[1] == f"**PRUNED**, diverged · {settings}"


def test_the_study_s_description_has_the_best_trials_and_how_to_run_it_again(
    folder: Path,
) -> None:
    """A table with links to their runs, kept current with each new best."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    before = runs(experiment)["digits"].data.tags[NOTE]
    assert before.startswith("**No trial is complete yet**, of 4 trials: none")
    for number, value in enumerate((0.5, 0.75)):
        record = make_record(number, State.COMPLETE, value)
        said = make_ended(number, Ending.COMPLETE, value)
        tracker.write([Event(1, make_spec(number)), Event(2, said, record)])

    found = runs(experiment)
    note = found["digits"].data.tags[NOTE].replace("\u00a0", "")
    lines = note.splitlines()
    assert lines[0].startswith("**Best: trial 1, validation accuracy 0.7500**")
    table = [line for line in lines if line.startswith("| [")]
    for line, number in zip(table, (1, 0), strict=True):
        page = f"runs/{found[f'trial-000{number}'].info.run_id})"
        assert line.startswith(f"| [000{number}](#/experiments/")
        assert page in line
    assert "| learning_rate| float 0.01 to 0.5, log |" in lines
    assert "    python -m sweep run experiment.yaml" in lines
    assert "commit `abc`, and changes on top of it" in "".join(lines)


def test_the_description_shows_the_plots_once_the_sweep_has_ended(folder: Path) -> None:
    """Pictures among the run's artifacts, at the address where MLflow serves them."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    parent = runs(experiment)["digits"].info.run_id
    (folder / "history.png").write_bytes(b"a picture")
    client(experiment).log_artifact(parent, str(folder / "history.png"), "plots")
    tracker.close("FINISHED")

    note = runs(experiment)["digits"].data.tags[NOTE]
    address = f"get-artifact?path=plots/history.png&run_uuid={parent}"
    assert f"![plots/history.png]({address})" in note


def test_no_description_has_a_password(folder: Path) -> None:
    """Neither the study's nor the experiment's."""
    secret = "study.storage=postgresql+psycopg://me:secret@127.0.0.1/optuna"
    experiment = make_experiment(folder, secret)
    open_tracker(experiment).close("FINISHED")

    found = client(experiment).get_experiment_by_name("digits")
    assert found is not None
    texts = [*found.tags.values(), *runs(experiment)["digits"].data.tags.values()]
    assert not [text for text in texts if "secret" in text]


def test_the_experiment_has_a_saved_view_of_the_study_s_trials(folder: Path) -> None:
    """As MLflow's own UI keeps views: best first, searched settings as columns."""
    experiment = make_experiment(folder)
    open_tracker(experiment)

    found = client(experiment).get_experiment_by_name("digits")
    assert found is not None
    view = json.loads(found.tags["mlflow.sharedViewState.trials"])
    state = json.loads(view["state"])
    assert view["name"] == "Trials, best first"
    parent = runs(experiment)["digits"].info.run_id
    assert state["searchFilter"] == f"tags.mlflow.parentRunId = '{parent}'"
    assert state["orderByKey"] == "metrics.`best_val_accuracy`"
    assert {"params.`hidden_dim`", "params.`learning_rate`"} < set(
        state["selectedColumns"]
    )
    kinds = {chart["type"] for chart in state["compareRunCharts"]}
    assert kinds == {"PARALLEL", "LINE", "SCATTER"}


def test_words_that_people_gave_the_experiment_stay(folder: Path) -> None:
    """Its description is written where there is none."""
    experiment = make_experiment(folder)
    open_tracker(experiment).close("FINISHED")
    found = client(experiment).get_experiment_by_name("digits")
    assert found is not None
    assert found.tags[NOTE].startswith("Searched on digits: hidden_dim, learning_rate.")
    client(experiment).set_experiment_tag(found.experiment_id, NOTE, "Mine.")

    open_tracker(experiment)
    found = client(experiment).get_experiment(found.experiment_id)
    assert found.tags[NOTE] == "Mine."


def test_a_study_that_goes_on_reopens_its_run_and_those_of_its_trials(
    folder: Path,
) -> None:
    """A second session makes no second run, and doubles no point of a curve."""
    experiment = make_experiment(folder)
    tracker = open_tracker(experiment)
    tracker.write([Event(1000, make_spec()), Event(2000, make_report(epoch=1))])
    tracker.write([ended(State.WAITING, Ending.INTERRUPTED)])
    tracker.close("KILLED")

    tracker = open_tracker(experiment, t0=State.WAITING)
    tracker.write(
        [Event(5000, make_spec(attempt=1)), Event(5002, make_report(epoch=2))]
    )
    running = runs(experiment)["trial-0000"]
    tracker.write([ended(State.COMPLETE)])
    tracker.close("FINISHED")

    assert set(runs(experiment)) == {"digits", "trial-0000"}
    child = runs(experiment)["trial-0000"]
    assert running.info.status == "RUNNING"
    assert running.data.tags["sweep.state"] == "RUNNING"
    assert child.data.tags["sweep.attempt"] == "1"
    assert curve(experiment, child, "val_accuracy") == [(1, 0.5), (2, 0.5)]
    assert [step for step, _ in curve(experiment, child, "loss")] == [1, 2, 3, 4]
    assert child.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.COMPLETE, "FINISHED"),
        (State.PRUNED, "KILLED"),
        (State.WAITING, "SCHEDULED"),
    ],
)
def test_runs_that_a_dead_driver_left_open_get_their_trials_states(
    folder: Path, state: State, status: str
) -> None:
    """Opening the tracker brings each to what the study says of its trial."""
    experiment = make_experiment(folder)
    open_tracker(experiment).write([Event(1000, make_spec())])
    assert runs(experiment)["trial-0000"].info.status == "RUNNING"

    open_tracker(experiment, t0=state)
    child = runs(experiment)["trial-0000"]
    assert (child.info.status, child.data.tags["sweep.state"]) == (status, state)


def test_writing_the_same_events_again_changes_nothing(folder: Path) -> None:
    """A batch that failed half way, or that nobody saw arrive, is sent once more."""
    experiment = make_experiment(folder)
    driver = open_tracker(experiment)
    events = [Event(1000, make_spec()), Event(2000, make_report())]
    driver.write([*events, ended(State.COMPLETE, checkpoint=b"x")])
    before = contents(experiment, runs(experiment)["trial-0000"])
    mark_sent(Path(experiment.study.folder), 0)
    open_tracker(experiment, t0=State.COMPLETE)

    assert set(runs(experiment)) == {"digits", "trial-0000"}
    assert contents(experiment, runs(experiment)["trial-0000"]) == before


def test_what_a_dead_driver_did_not_send_is_sent_by_the_next_one(folder: Path) -> None:
    """Curve, end, checkpoint, and the study's best value so far."""
    experiment = make_experiment(folder)
    open_tracker(experiment).write([Event(1000, make_spec())])
    log = EventLog(Path(experiment.study.folder))
    log.append(Event(2000, make_report()))
    log.append(ended(State.COMPLETE, checkpoint=b"net"))
    log.append(Event(3000, make_spec(1)))
    done = StudySummary(
        {**EMPTY.counts, State.COMPLETE: 1}, (make_record(),), "the-study"
    )
    states = {0: State.COMPLETE, 1: State.WAITING}
    driver = Driver(experiment, opening(experiment, states=states, summary=done))
    driver.close("FINISHED")

    first, second = (runs(experiment)[f"trial-000{n}"] for n in (0, 1))
    assert (first.info.status, second.info.status) == ("FINISHED", "SCHEDULED")
    assert curve(experiment, first, "val_accuracy") == [(1, 0.5)]
    points = curve(experiment, runs(experiment)["digits"], "best_val_accuracy")
    assert points == [(1, 0.5)]
    for run, kind in ((first, "checkpoint"), (runs(experiment)["digits"], "best")):
        files = client(experiment).list_artifacts(run.info.run_id, kind)
        assert [file.path for file in files] == [f"{kind}/best.safetensors"]


def test_a_store_that_was_lost_is_made_again_from_what_the_study_knows(
    folder: Path,
) -> None:
    """Params, states, validation curves and best values, and a tag that says so."""
    experiment = make_experiment(folder)
    study = open_study(experiment)
    for ending in (Ending.COMPLETE, Ending.PRUNED, Ending.FAILED):
        spec = study.ask()
        study.report(make_report(spec.number, accuracy=0.25))
        tell(study, make_ended(spec.number, ending, 0.25, reason="why"))
    summary = study.summary()
    now = opening(experiment, states=study.states, summary=summary)
    driver = Driver(experiment, now)
    assert driver.tracker.is_missing_runs
    driver.tracker.rebuild(study.past())
    driver.close("FINISHED")

    found = runs(experiment)
    trials = [found[f"trial-000{number}"] for number in range(3)]
    statuses = ["FINISHED", "KILLED", "FAILED"]
    assert [run.info.status for run in trials] == statuses
    for run, past in zip(trials, study.past(), strict=True):
        assert run.data.tags["sweep.rebuilt"] == "true"
        assert curve(experiment, run, "val_accuracy") == [(1, 0.25)]
        settings = {key: str(value) for key, value in past.spec.hparams.items()}
        assert run.data.params == {**settings, "seed": "0"}
        assert run.info.start_time <= run.info.end_time
    points = curve(experiment, found["digits"], "best_val_accuracy")
    assert points == [(1, 0.25), (2, 0.25)]
    again = Driver(experiment, now)
    assert not again.tracker.is_missing_runs


def test_a_study_that_was_set_aside_leaves_no_run_open(folder: Path) -> None:
    """Its runs are KILLED, and the next study has runs of its own."""
    experiment = make_experiment(folder)
    open_tracker(experiment).write([Event(1000, make_spec())])
    fresh = StudySummary(EMPTY.counts, (), "the-next-study")
    other = replace(opening(experiment), folder=folder / "other", summary=fresh)
    driver = Driver(experiment, replace(other, former="the-study"))
    driver.write([Event(1000, make_spec())])

    [found] = client(experiment).search_experiments(filter_string="name = 'digits'")
    statuses = [
        (run.info.run_name, run.info.status)
        for run in client(experiment).search_runs([found.experiment_id])
    ]
    assert sorted(statuses) == [
        ("digits", "KILLED"),
        ("digits", "RUNNING"),
        ("trial-0000", "KILLED"),
        ("trial-0000", "RUNNING"),
    ]


def test_a_deleted_experiment_is_named_with_the_way_to_restore_it(folder: Path) -> None:
    """MLflow keeps a deleted experiment's name; the message says what to do."""
    experiment = make_experiment(folder)
    open_tracker(experiment).close("FINISHED")
    found = client(experiment).get_experiment_by_name("digits")
    assert found is not None
    client(experiment).delete_experiment(found.experiment_id)

    with pytest.raises(StoreError, match="mlflow experiments restore"):
        open_tracker(experiment)


def test_a_store_that_mlflow_cannot_open_is_named(folder: Path) -> None:
    """The message has the key, the address, and addresses that would do."""
    experiment = make_experiment(folder, "mlflow.tracking_uri=nonsense://x")
    with pytest.raises(
        StoreError, match="mlflow.tracking_uri: found .*allowed: sqlite"
    ):
        open_tracker(experiment)


def test_a_study_s_runs_are_found_without_changing_anything(folder: Path) -> None:
    """Nothing is made by looking: no file, no experiment, no run."""
    experiment = make_experiment(folder)
    nowhere = make_experiment(folder, f"mlflow.tracking_uri=sqlite:///{folder}/no.db")
    assert read_runs(nowhere, "the-study", None).experiment_id is None
    assert not (folder / "no.db").exists()
    assert read_runs(experiment, "the-study", None).experiment_id is None

    tracker = open_tracker(experiment)
    tracker.write([Event(1000, make_spec(7))])
    found = read_runs(experiment, "the-study", 7)
    assert found.parent_run_id == runs(experiment)["digits"].info.run_id
    assert found.best_run_id == runs(experiment)["trial-0007"].info.run_id
    assert read_runs(experiment, "the-study", None).best_run_id is None


def test_a_database_holds_what_mlflow_s_own_client_would_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written into the tables or through the client: runs, tags, params and curves."""
    written = []
    for name, writer in (("tables", None), ("client", ClientWriter)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        if writer is not None:
            monkeypatch.setattr(tracking, "make_run_writer", writer)
        experiment = make_experiment(tmp_path / name)
        tracker = open_tracker(experiment)
        nan = replace(
            make_report(epoch=2), train_loss=math.nan, losses=((3, math.inf),)
        )
        tracker.write([Event(1000, make_spec()), Event(2000, make_report())])
        tracker.write([Event(3000, nan), ended(State.COMPLETE, checkpoint=b"x")])
        tracker.write([Event(4000, make_spec(1))])
        tracker.close("FINISHED")
        written.append(
            {n: contents(experiment, r) for n, r in runs(experiment).items()}
        )

    assert set(written[0]) == {"digits", "trial-0000", "trial-0001"}
    assert written[0] == written[1]


def contents(experiment: Experiment, run: Run) -> dict[str, Any]:
    """A run without any run's id, and without where and when it was written."""
    info, data = dict(run.info), run.data
    keep = ("status", "lifecycle_stage", "run_name", "user_id")
    curves = {key: repr(curve(experiment, run, key)) for key in data.metrics}
    start = (
        None
        if run.info.run_name == "digits"
        else (info["start_time"], info["end_time"])
    )
    folder = Path(urlparse(run.info.artifact_uri).path)
    assert folder.parts[-2:] == (run.info.run_id, "artifacts")
    return {
        "info": {key: info[key] for key in keep},
        "times": start,
        "tags": {
            key: re.sub("[0-9a-f]{32}", "an id", text)
            for key, text in data.tags.items()
        },
        "params": data.params,
        "latest": repr(sorted(data.metrics.items())),
        "curves": curves,
        "artifacts": [
            a.path for a in client(experiment).list_artifacts(run.info.run_id)
        ],
    }
