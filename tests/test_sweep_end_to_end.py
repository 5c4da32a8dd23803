"""Whole sweeps in processes of their own, read back with the stores' own clients."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.trial import FrozenTrial

from fcnet.image_data import Data
from support import DIGITS, score
from sweep.checkpoint import read_checkpoint

pytestmark = pytest.mark.timeout(400)  # two sweeps in a test, on whatever machine

SPACE = {"hidden_dim", "learning_rate"}
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`python -m sweep run` on the digits, in its own process group."""
    (folder / "digits.yaml").write_text(DIGITS)
    command = [sys.executable, "-m", "sweep", "run", "digits.yaml", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def settings(**values: Any) -> list[str]:
    """`--set` for each, with two underscores for the dot."""
    pairs = (f"{key.replace('__', '.')}={value}" for key, value in values.items())
    return [word for pair in pairs for word in ("--set", pair)]


def trials(folder: Path) -> list[FrozenTrial]:
    storage = f"sqlite:///{folder}/optuna.db"
    return optuna.load_study(study_name="digits", storage=storage).trials


def runs(folder: Path) -> tuple[Run, dict[int, Run]]:
    """The study's run, and each trial's by number."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    [parent] = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run is not parent]
    assert all(
        run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in children
    )
    by_number = {int(run.data.tags["sweep.trial"]): run for run in children}
    assert len(by_number) == len(children)
    return parent, by_number


def curve(folder: Path, run: Run, key: str) -> dict[int, float]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    history = client.get_metric_history(run.info.run_id, key)
    assert len({metric.step for metric in history}) == len(history), "doubled points"
    return {metric.step: metric.value for metric in history}


def assert_stores_agree(folder: Path) -> None:
    """Optuna and MLflow say the same of every trial."""
    _, children = runs(folder)
    assert sorted(children) == [trial.number for trial in trials(folder)]
    for trial in trials(folder):
        run = children[trial.number]
        assert run.info.run_name == f"trial-{trial.number:04d}"
        assert run.info.status == STATUS[trial.state.name]
        assert run.data.tags["sweep.state"] == trial.state.name
        for name in SPACE:
            assert run.data.params[name] == str(trial.params[name])
        assert curve(folder, run, "val_accuracy") == trial.intermediate_values
        best = max(trial.intermediate_values.values())
        assert run.data.metrics["best_val_accuracy"] == best
        if trial.state.name == "COMPLETE":
            assert trial.value == best


def wait_for_trial(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until a trial has reported an epoch, without Optuna, which might write."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(sqlite3.OperationalError):  # file or table are about to be made
            database = sqlite3.connect(f"file:{folder}/optuna.db?mode=ro", uri=True)
            with closing(database):
                query = "SELECT count(*) FROM trial_intermediate_values"
                if database.execute(query).fetchone()[0]:
                    return
        time.sleep(0.1)
    raise AssertionError(f"no trial began: {process.communicate()}")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A finished sweep of 12 trials: its folder, standard output and error."""
    folder = tmp_path_factory.mktemp("done")
    process = start(folder, "--json", *settings(study__trials=12, study__pruner="asha"))
    out, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    return folder, out, error


def test_optuna_and_mlflow_agree_trial_by_trial(done: tuple[Path, str, str]) -> None:
    """Twelve trials, complete or pruned: params, curves, states, nested runs."""
    folder = done[0]
    states = [trial.state.name for trial in trials(folder)]

    assert len(states) == 12
    assert set(states) <= {"COMPLETE", "PRUNED"}
    assert_stores_agree(folder)
    assert runs(folder)[0].info.status == "FINISHED"


def test_every_curve_is_whole(done: tuple[Path, str, str]) -> None:
    """Epoch metrics for every epoch, the loss for every iteration, one end each."""
    folder = done[0]
    for run in runs(folder)[1].values():
        epochs = list(curve(folder, run, "val_accuracy"))
        assert epochs == list(range(1, len(epochs) + 1))
        for key in ("train_loss", "train_accuracy", "learning_rate"):
            assert list(curve(folder, run, key)) == epochs
        iterations = list(curve(folder, run, "loss"))
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
    done: tuple[Path, str, str], digits: Data
) -> None:
    """Evaluated anew on the validation split, to the last digit."""
    folder = done[0]
    for run in runs(folder)[1].values():
        uri = f"runs:/{run.info.run_id}/checkpoint/best.safetensors"
        tracking = f"sqlite:///{folder}/mlflow.db"
        path = mlflow.artifacts.download_artifacts(uri, tracking_uri=tracking)
        checkpoint = read_checkpoint(Path(path))

        assert score(checkpoint, digits) == run.data.metrics["best_val_accuracy"]


def test_the_status_is_the_last_line_of_standard_output(
    done: tuple[Path, str, str],
) -> None:
    """`run --json` prints what `status --json` prints; people's part goes elsewhere."""
    folder, out, error = done
    status = json.loads(out.splitlines()[-1])
    best = max(
        (t for t in trials(folder) if t.state.name == "COMPLETE"),
        key=lambda trial: (trial.value, -trial.number),
    )
    command = [sys.executable, "-m", "sweep", "status", "digits.yaml", "--json"]
    again = subprocess.run(
        [*command, *settings(study__trials=12, study__pruner="asha")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(out.splitlines()) == 1
    assert json.loads(again.stdout) == status
    assert sum(status["trials"].values()) == 12
    assert status["best"]["number"] == best.number
    assert status["best"]["value"] == best.value
    assert status["best"]["run_id"] == runs(folder)[1][best.number].info.run_id
    assert status["parent_run_id"] == runs(folder)[0].info.run_id
    assert "trial 0000" in error
    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in error
    assert "optuna-dashboard sqlite:///optuna.db" in error


def test_the_same_command_again_adds_nothing_and_more_trials_go_on(
    done: tuple[Path, str, str], tmp_path: Path
) -> None:
    """A finished study stays as it is; with 14 wanted, two more are trained."""
    folder = done[0]
    before = [(t.number, t.state, t.params, t.value) for t in trials(folder)]
    process = start(folder, *settings(study__trials=12))
    process.communicate(timeout=200)
    assert process.returncode == 0
    assert [(t.number, t.state, t.params, t.value) for t in trials(folder)] == before

    process = start(folder, *settings(study__trials=14))
    process.communicate(timeout=200)
    assert process.returncode == 0
    assert len(trials(folder)) == 14
    assert_stores_agree(folder)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interrupted_sweep_is_clean_and_goes_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Nothing is left RUNNING; the same command trains the trials to their end."""
    long = settings(study__trials=3, solver__num_epochs=60)
    process = start(tmp_path, *long)
    wait_for_trial(tmp_path, process)
    process.send_signal(number)
    out, error = process.communicate(timeout=120)

    assert process.returncode == code, error
    assert "the same command goes on" in out
    states = {trial.state.name for trial in trials(tmp_path)}
    assert "WAITING" in states
    assert "RUNNING" not in states
    parent, children = runs(tmp_path)
    assert parent.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in children.values()}
    assert no_process_left(process.pid)

    process = start(tmp_path, *long)
    out, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    assert [trial.state.name for trial in trials(tmp_path)] == ["COMPLETE"] * 3
    assert_stores_agree(tmp_path)


def test_after_kill_9_the_same_command_ends_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    """The driver dies in the middle; each trial is there once, none is RUNNING."""
    long = settings(study__trials=3, solver__num_epochs=60)
    process = start(tmp_path, *long)
    wait_for_trial(tmp_path, process)
    process.kill()
    process.communicate(timeout=120)
    assert "RUNNING" in {trial.state.name for trial in trials(tmp_path)}

    process = start(tmp_path, *long)
    _, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    assert [trial.state.name for trial in trials(tmp_path)] == ["COMPLETE"] * 3
    assert_stores_agree(tmp_path)


def no_process_left(session: int) -> bool:
    """Whether all processes of a session have gone, or go within some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(_session(pid) == session for pid in _processes()):
            return True
        time.sleep(0.2)
    return False


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
