"""Sweeps from Python: how an experiment is written, and what a run gives back."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest

import sweep
from processes import in_session, kill_all, wait_until
from stores import Stores, assert_stores_agree
from support import DIGITS
from sweep import (
    Choice,
    Experiment,
    FloatRange,
    IntRange,
    Result,
    State,
    SweepError,
    run,
)
from sweep.api import running
from sweep.config import load
from sweep.errors import ConfigError, StoreError, StudyBusy, UsageError

MODEL = {"hidden_dim": IntRange(4, 16), "weight_scale": 0.1}
SOLVER = {
    "learning_rate": FloatRange(0.01, 0.5, log=True),
    "batch_size": 100,
    "num_epochs": 3,
}
STUDY = {"trials": 4, "pruner": "none"}
# what `DIGITS` is as YAML
IN_PYTHON = f"""\
from sweep import Experiment, FloatRange, IntRange, run

experiment = Experiment(
    name="digits",
    data={{"dataset": "digits"}},
    model={MODEL!r},
    solver={SOLVER!r},
    study={STUDY!r},
)
"""


def make() -> Experiment:
    return Experiment(
        name="digits",
        data={"dataset": "digits"},
        model=MODEL,
        solver=SOLVER,
        study=STUDY,
    )


def test_the_package_is_imported_without_its_libraries() -> None:
    """Neither torch nor anything else heavy comes with `import sweep`."""
    code = "import sys, sweep; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "ray", "mlflow", "optuna", "pandas", "pydantic", "plotly"}
    assert not heavy & set(done.stdout.split())


def test_each_public_name_is_there_for_people_and_for_type_checkers() -> None:
    """What is said to be public can be imported, and the stub says the same."""
    stub = Path(str(sweep.__file__)).with_suffix(".pyi").read_text()
    for name in sweep.__all__:
        assert getattr(sweep, name).__name__ == name
        assert f"import {name} as {name}\n" in stub
    assert stub.count(" as ") == len(sweep.__all__)


def test_an_experiment_of_python_is_that_of_its_yaml(tmp_path: Path) -> None:
    """Every section, every default, every distribution; and the YAML reads back."""
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS)
    assert dict(make()) == dict(load(file))
    assert make() == Experiment.load(file)

    file.write_text(make().to_yaml())
    assert Experiment.load(file) == make()


def test_overrides_are_words_of_the_command_line_or_values(tmp_path: Path) -> None:
    """`study.trials=8`, or 8 by that key; distributions, too."""
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS)
    words = ["study.trials=8", "model.hidden_dim={choice: [4, 8]}"]
    values = {"study.trials": 8, "model.hidden_dim": Choice((4, 8))}

    assert Experiment.load(file, values) == Experiment.load(file, words)
    assert Experiment.load(str(file), values).study.trials == 8


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"hiden_dim": 4},
            r"Experiment: model.hiden_dim: unknown key.*mean hidden_dim",
        ),
        ({"hidden_dim": FloatRange(4, 8)}, r"model.hidden_dim: found .*int or choice"),
        ({"hidden_dim": IntRange(0, 8)}, r"model.hidden_dim: found .*number >= 1"),
        ({"hidden_dim": 4, "hidden_dims": [4]}, r"hidden_dim or hidden_dims, not both"),
    ],
)
def test_a_mistake_is_told_as_one_of_a_file_is(
    model: dict[str, object], message: str
) -> None:
    """The key, what was found and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        Experiment(name="x", data={"dataset": "digits"}, model=model)


def test_a_study_that_was_never_run_is_no_result(tmp_path: Path) -> None:
    """The message says so, and nothing is made by looking."""
    storage = {"storage": f"sqlite:///{tmp_path}/optuna.db"}
    experiment = Experiment(name="x", data={"dataset": "digits"}, study=storage)
    with pytest.raises(StoreError, match="run the experiment first"):
        Result.read(experiment)
    assert not list(tmp_path.iterdir())


def test_a_second_run_beside_the_first_is_refused() -> None:
    """Ray knows one cluster a process; the message says what to do."""
    with running._running, pytest.raises(StudyBusy, match="in this process already"):
        run(make())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_script_runs_reads_and_runs_on(folder: Path) -> None:
    """One process: a run, more trials in a second run, and the result read again."""
    script = f"""{IN_PYTHON}
from sweep import Result

if __name__ == "__main__":
    first = run(experiment)
    second = run(experiment, extend=2, quiet=True)
    assert second.trials.equals(Result.read(experiment).trials)
    print(len(first.trials), len(second.trials), second.best.number)
"""
    (folder / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    stores = Stores.in_files(folder)
    assert_stores_agree(stores)
    study = optuna.load_study(study_name="digits", storage=stores.storage)
    # standard output is the script's own, and lines for people are of one run alone
    assert done.stdout == f"4 6 {study.best_trial.number}\n"
    told = [line for line in done.stderr.splitlines() if line.startswith("trial 0")]
    assert len(told) == 4


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_in_a_thread_gives_what_the_stores_have(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Table, best trial, runs and plots; signals and environment are as before."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    environment = {key for key in os.environ if key.startswith("MLFLOW")}
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(run(make(), quiet=True)))
    thread.start()
    thread.join()
    [result] = results

    after = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert after == before
    assert {key for key in os.environ if key.startswith("MLFLOW")} == environment
    assert "trial 0" not in capfd.readouterr().err

    stores = Stores.in_files(folder)
    parent, children = stores.runs()
    assert result.runs.parent_run_id == parent.info.run_id
    assert result.counts[State.COMPLETE] == len(result.trials) == 4
    for trial in stores.trials():
        row = result.trials.loc[trial.number]
        assert row["state"] == trial.state.name
        assert row["value"] == trial.value
        assert row["hidden_dim"] == trial.params["hidden_dim"]
        assert row["learning_rate"] == trial.params["learning_rate"]
        assert row["run_id"] == children[trial.number].info.run_id
        assert trial.duration is not None
        assert row["seconds"] == trial.duration.total_seconds()
    assert result.best is not None
    assert result.best.value == result.trials["value"].max()
    assert repr(result).startswith("<Result of digits: 4 COMPLETE, best: ")

    assert {"history", "learning_curves"} <= set(result.figures())
    assert result.plot("history").data
    with pytest.raises(UsageError, match=r"plot: found 'histroy'.*mean history"):
        result.plot("histroy")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ctrl_c_ends_a_run_well_and_is_the_script_s_too(folder: Path) -> None:
    """The stores agree, nothing runs on, and the script sees KeyboardInterrupt."""
    long = IN_PYTHON.replace("'num_epochs': 3", "'num_epochs': 100_000")
    script = f"""{long}
if __name__ == "__main__":
    try:
        run(experiment)
    except KeyboardInterrupt:
        print("interrupted")
"""
    (folder / "script.py").write_text(script)
    stores = Stores.in_files(folder)
    with subprocess.Popen(
        [sys.executable, "script.py"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_until(lambda: stores.reported() > 0, 200.0, "an epoch")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=100)
        finally:
            kill_all(in_session(process.pid))

    assert (process.returncode, output) == (0, "interrupted\n")
    assert_stores_agree(stores)
    assert {trial.state.name for trial in stores.trials()} == {"WAITING"}


@pytest.mark.slow
def test_a_cluster_that_the_script_uses_is_left_alone() -> None:
    """A run refuses to start, and Ray goes on."""
    script = f"""{IN_PYTHON}
import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
try:
    run(experiment)
except Exception as error:
    print(error)
print(ray.is_initialized())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert "joined a Ray cluster already" in done.stdout, done.stderr
    assert done.stdout.endswith("True\n")


def test_every_error_of_a_sweep_has_one_base() -> None:
    """So that a script can catch them all."""
    assert issubclass(ConfigError, SweepError)
