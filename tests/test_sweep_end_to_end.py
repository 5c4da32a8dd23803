"""Whole sweeps in processes of their own, read back with the stores' own clients."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fcnet.image_data import Data
from processes import in_session, kill_all, wait_until
from stores import MakeStores, Stores, assert_stores_agree
from support import DIGITS, make_experiment, score
from sweep.checkpoint import read_checkpoint
from tracked import sweep_here

pytestmark = pytest.mark.timeout(400)  # two sweeps in a test, on whatever machine

Done = tuple[Stores, str, str]


@contextmanager
def started(stores: Stores, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """`python -m sweep run` on the digits; nothing of it outlives the block."""
    (stores.folder / "digits.yaml").write_text(DIGITS)
    with subprocess.Popen(
        [*command("run", stores), *arguments],
        cwd=stores.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            kill_all(in_session(process.pid))


def run(stores: Stores, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The same from start to end."""
    with started(stores, *arguments) as process:
        out, error = process.communicate(timeout=200)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def command(verb: str, stores: Stores) -> list[str]:
    told = [word for setting in stores.overrides for word in ("--set", setting)]
    return [sys.executable, "-m", "sweep", verb, "digits.yaml", *told]


def settings(**values: Any) -> list[str]:
    """`--set` for each, with two underscores for the dot."""
    pairs = (f"{key.replace('__', '.')}={value}" for key, value in values.items())
    return [word for pair in pairs for word in ("--set", pair)]


def wait_for_trial(
    stores: Stores, process: "subprocess.Popen[str]", before: int
) -> None:
    """Wait until a trial has reported an epoch more than those before."""

    def has_begun() -> bool:
        assert process.poll() is None, f"no trial began: {process.communicate()}"
        return stores.reported() > before

    wait_until(has_begun, 90, "a trial has begun")


@contextmanager
def interrupted(
    stores: Stores, number: signal.Signals, *arguments: str
) -> "Iterator[subprocess.Popen[str]]":
    """A run that has got a signal after an epoch, and has not ended yet."""
    before = stores.reported()
    with started(stores, *arguments) as process:
        wait_for_trial(stores, process, before)
        process.send_signal(number)
        yield process


def wait_for_line(lines: Iterable[str], words: str) -> None:
    """Read until a line has these words."""
    assert any(words in line for line in lines), f"it never said: {words}"


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
    ended = run(stores, "--json", *settings(study__trials=12, study__pruner="asha"))
    assert ended.returncode == 0, ended.stderr
    return stores, ended.stdout, ended.stderr


def test_optuna_and_mlflow_agree_trial_by_trial(done: Done) -> None:
    """Twelve trials, some pruned: params, curves, states, nested runs."""
    stores = done[0]
    states = [trial.state.name for trial in stores.trials()]

    assert len(states) == 12
    assert set(states) == {"COMPLETE", "PRUNED"}
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


@pytest.mark.slow
def test_a_finished_sweep_goes_on_when_more_trials_are_wanted(done: Done) -> None:
    """Two more are trained; --quiet --json prints the status and nothing else."""
    stores = done[0]
    before = [(t.number, t.state, t.params, t.value) for t in stores.trials()]
    more = ("--extend", "2", "--quiet", "--json", *settings(study__trials=12))
    ended = run(stores, *more)

    assert (ended.returncode, ended.stderr) == (0, "")
    [line] = ended.stdout.splitlines()
    assert sum(json.loads(line)["trials"].values()) == 14
    after = [(t.number, t.state, t.params, t.value) for t in stores.trials()]
    assert (after[:12], len(after)) == (before, 14)
    assert_stores_agree(stores)
    assert not (stores.folder / "sweeps").exists(), "what a crash would have needed"


@pytest.mark.slow
def test_a_study_of_other_settings_is_refused_and_kept_beside_a_fresh_one(
    folder: Path, digits: Data
) -> None:
    """The message shows the difference and the ways out; both are in both stores."""
    stores = Stores.in_files(folder)
    sweep_here(make_experiment(folder, "study.trials=1"), digits)
    other = settings(study__trials=2, solver__batch_size=50)
    refused = run(stores, *other)
    assert refused.returncode == 2
    assert "solver.batch_size was 100 and is 50" in refused.stderr
    assert "another name" in refused.stderr
    assert "--fresh" in refused.stderr

    fresh = run(stores, "--fresh", *other)
    assert fresh.returncode == 0, fresh.stderr
    assert "the former study is kept as digits@1" in fresh.stdout
    kept = replace(stores, name="digits@1")
    assert (len(kept.trials()), len(stores.trials())) == (1, 2)
    [found] = stores.client.search_experiments(filter_string="name = 'digits'")
    runs = stores.client.search_runs([found.experiment_id])
    names = sorted(run.info.run_name for run in runs)
    assert names == ["digits", "digits", "trial-0000", "trial-0000", "trial-0001"]
    assert {run.info.status for run in runs} == {"FINISHED"}


@pytest.mark.slow
def test_an_interrupted_sweep_is_clean_and_goes_on(tmp_path: Path) -> None:
    """Nothing is left RUNNING; interrupted or stopped at once, it can go on."""
    stores = Stores.in_files(tmp_path)
    long = settings(study__trials=3, solver__num_epochs=100)
    with interrupted(stores, signal.SIGTERM, *long) as process:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 143, error
        assert "the same command goes on" in out
        states = {trial.state.name for trial in stores.trials()}
        assert "WAITING" in states
        assert "RUNNING" not in states
        parent, children = stores.runs()
        assert parent.info.status == "KILLED"
        assert "RUNNING" not in {run.info.status for run in children.values()}
        wait_until(lambda: not in_session(process.pid), 60, "all its processes end")

    with interrupted(stores, signal.SIGINT, *long) as process:
        assert process.stdout is not None
        wait_for_line(process.stdout, "once more to stop at once")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        assert process.returncode == 130
        wait_until(lambda: not in_session(process.pid), 60, "all its processes end")

    ended = run(stores, *long)
    assert ended.returncode == 0, ended.stderr
    assert [trial.state.name for trial in stores.trials()] == ["COMPLETE"] * 3
    assert_stores_agree(stores)
