"""Whole sweeps in processes of their own, read back with the stores' own clients."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fcnet.image_data import Data
from processes import in_session, wait_until
from stores import MakeStores, Stores, assert_stores_agree
from support import DIGITS, score
from sweep.checkpoint import read_checkpoint

pytestmark = pytest.mark.timeout(400)  # two sweeps in a test, on whatever machine

Done = tuple[Stores, str, str]


def start(stores: Stores, *arguments: str) -> "subprocess.Popen[str]":
    """`python -m sweep run` on the digits, in its own process group."""
    (stores.folder / "digits.yaml").write_text(DIGITS)
    return subprocess.Popen(
        [*command("run", stores), *arguments],
        cwd=stores.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def command(verb: str, stores: Stores) -> list[str]:
    told = [word for setting in stores.overrides for word in ("--set", setting)]
    return [sys.executable, "-m", "sweep", verb, "digits.yaml", *told]


def settings(**values: Any) -> list[str]:
    """`--set` for each, with two underscores for the dot."""
    pairs = (f"{key.replace('__', '.')}={value}" for key, value in values.items())
    return [word for pair in pairs for word in ("--set", pair)]


def is_gone(session: int) -> bool:
    return not in_session(session)


def wait_for_trial(
    stores: Stores, process: "subprocess.Popen[str]", before: int
) -> None:
    """Wait until a trial has reported an epoch more than those before."""

    def has_begun() -> bool:
        assert process.poll() is None, f"no trial began: {process.communicate()}"
        return stores.reported() > before

    wait_until(has_begun, 90, "a trial has begun")


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("servers", marks=pytest.mark.slow)]
)
def done(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_stores: MakeStores,
) -> Done:
    """A finished sweep of 12 trials: its stores, standard output and error."""
    folder = tmp_path_factory.mktemp(f"done_{request.param}")
    stores = make_stores(request.param, folder)
    process = start(stores, "--json", *settings(study__trials=12, study__pruner="asha"))
    out, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    return stores, out, error


def test_optuna_and_mlflow_agree_trial_by_trial(done: Done) -> None:
    """Twelve trials, complete or pruned: params, curves, states, nested runs."""
    stores = done[0]
    states = [trial.state.name for trial in stores.trials()]

    assert len(states) == 12
    assert set(states) <= {"COMPLETE", "PRUNED"}
    assert_stores_agree(stores)
    assert stores.runs()[0].info.status == "FINISHED"


def test_every_curve_is_whole(done: Done) -> None:
    """Epoch metrics for every epoch, the loss for every iteration, one end each."""
    stores = done[0]
    for run in stores.runs()[1].values():
        epochs = list(stores.curve(run, "val_accuracy"))
        assert epochs == list(range(1, len(epochs) + 1))
        for key in ("train_loss", "train_accuracy", "learning_rate"):
            assert list(stores.curve(run, key)) == epochs
        iterations = list(stores.curve(run, "loss"))
        assert iterations == list(range(1, 12 * len(epochs) + 1))
        assert run.data.params.keys() == {
            "hidden_dim",
            "weight_scale",
            "reg",
            "learning_rate",
            "dropout",
            "update_rule",
            "schedule",
            "lr_decay",
            "warmup_epochs",
            "batch_size",
            "num_epochs",
            "seed",
        }
        assert {"best_epoch", "seconds"} <= run.data.metrics.keys()


def test_each_checkpoint_loads_and_has_the_recorded_accuracy(
    done: Done, digits: Data, tmp_path: Path
) -> None:
    """Evaluated anew on the validation split, to the last digit."""
    stores = done[0]
    for run in stores.runs()[1].values():
        path = stores.artifact(run, "checkpoint/best.safetensors", tmp_path)
        checkpoint = read_checkpoint(path)

        assert score(checkpoint, digits) == run.data.metrics["best_val_accuracy"]


def test_the_status_is_the_last_line_of_standard_output(
    done: Done,
) -> None:
    """`run --json` prints what `status --json` prints; people's part goes elsewhere."""
    stores, out, error = done
    status = json.loads(out.splitlines()[-1])
    best = max(
        (t for t in stores.trials() if t.state.name == "COMPLETE"),
        key=lambda trial: (trial.value, -trial.number),
    )
    again = subprocess.run(
        [
            *(*command("status", stores), "--json"),
            *settings(study__trials=12, study__pruner="asha"),
        ],
        cwd=stores.folder,
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(out.splitlines()) == 1
    assert json.loads(again.stdout) == status
    assert sum(status["trials"].values()) == 12
    assert status["best"]["number"] == best.number
    assert status["best"]["value"] == best.value
    assert status["best"]["run_id"] == stores.runs()[1][best.number].info.run_id
    assert status["parent_run_id"] == stores.runs()[0].info.run_id
    assert "trial 0000" in error
    if stores.overrides:
        assert f"\n  {stores.tracking_uri}\n" in error
    else:
        assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in error
        assert "optuna-dashboard sqlite:///optuna.db" in error


def test_the_same_command_again_adds_nothing_and_more_trials_go_on(
    done: Done, tmp_path: Path
) -> None:
    """A finished study stays as it is; extended by two, two more are trained."""
    stores = done[0]
    before = [(t.number, t.state, t.params, t.value) for t in stores.trials()]
    process = start(stores, *settings(study__trials=12))
    process.communicate(timeout=200)
    assert process.returncode == 0
    assert [(t.number, t.state, t.params, t.value) for t in stores.trials()] == before

    process = start(stores, "--extend", "2", *settings(study__trials=12))
    process.communicate(timeout=200)
    assert process.returncode == 0
    assert len(stores.trials()) == 14
    assert_stores_agree(stores)
    assert not (stores.folder / "sweeps").exists(), "what a crash would have needed"


def test_a_study_of_other_settings_is_refused_and_kept_beside_a_fresh_one(
    tmp_path: Path,
) -> None:
    """The message shows the difference and the ways out; both are in both stores."""
    stores = Stores.in_files(tmp_path)
    start(stores, *settings(study__trials=1)).communicate(timeout=200)
    other = settings(study__trials=2, solver__batch_size=50)
    process = start(stores, *other)
    _, error = process.communicate(timeout=200)
    assert process.returncode == 2
    assert "solver.batch_size was 100 and is 50" in error
    assert "another name" in error
    assert "--fresh" in error

    process = start(stores, "--fresh", *other)
    out, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    assert "the former study is kept as digits@1" in out
    kept = replace(stores, name="digits@1")
    assert (len(kept.trials()), len(stores.trials())) == (1, 2)
    [found] = stores.client.search_experiments(filter_string="name = 'digits'")
    runs = stores.client.search_runs([found.experiment_id])
    names = sorted(run.info.run_name for run in runs)
    assert names == ["digits", "digits", "trial-0000", "trial-0000", "trial-0001"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_an_interrupted_sweep_is_clean_and_goes_on(tmp_path: Path) -> None:
    """Nothing is left RUNNING; the same command trains the trials to their end."""
    stores = Stores.in_files(tmp_path)
    long = settings(study__trials=3, solver__num_epochs=100)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        before = stores.reported()
        process = start(stores, *long)
        wait_for_trial(stores, process, before)
        process.send_signal(number)
        out, error = process.communicate(timeout=120)

        assert process.returncode == code, error
        assert "the same command goes on" in out
        states = {trial.state.name for trial in stores.trials()}
        assert "WAITING" in states
        assert "RUNNING" not in states
        parent, children = stores.runs()
        assert parent.info.status == "KILLED"
        assert "RUNNING" not in {run.info.status for run in children.values()}
        session = process.pid
        wait_until(partial(is_gone, session), 10, "all its processes end")

    process = start(stores, *long)
    out, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    assert [trial.state.name for trial in stores.trials()] == ["COMPLETE"] * 3
    assert_stores_agree(stores)
