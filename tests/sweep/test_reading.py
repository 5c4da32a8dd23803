"""Commands that only read: from a broken storage, from stores that are not there."""

import sqlite3
from pathlib import Path

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from stores import Stores
from studies import Made, make_study
from support import DIGITS, make_experiment
from sweep.api.result import Result
from sweep.cli import app
from sweep.config import load
from sweep.errors import StoreUnavailable
from sweep.experiment import Experiment
from sweep.runs import read_trial_runs

TRIAL = Made(TrialState.COMPLETE, {"hidden_dim": 8, "learning_rate": 0.1}, (0.1, 0.2))


@pytest.fixture
def experiment(folder: Path) -> Experiment:
    """A study of one trial, in files of the current folder."""
    made = make_experiment(folder)
    make_study(made, [TRIAL])
    return made


def break_trials(database: Path) -> None:
    """Write over the page on which SQLite keeps the trials."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [size] = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'trials'"
        [page] = connection.execute(query).fetchone()
    connection.close()
    with database.open("rb+") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("verb", ["status", "best", "report"])
def test_a_storage_that_cannot_be_read_is_told(
    experiment: Experiment, folder: Path, verb: str
) -> None:
    """One message that names it, and no traceback."""
    break_trials(folder / "optuna.db")
    result = CliRunner().invoke(app, [verb, str(folder / "experiment.yaml")])

    assert result.exit_code == 1
    assert result.stderr.startswith("error: sqlite:///optuna.db: ")
    assert "malformed" in result.stderr
    with pytest.raises(StoreUnavailable, match="malformed"):
        Result.read(experiment)


def test_a_result_is_the_study_when_it_was_read(
    experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables and plots of a relative address do not depend on the current folder."""
    (folder / "relative.yaml").write_text(DIGITS)
    relative = load(folder / "relative.yaml", ())
    assert relative.mlflow.tracking_uri == "sqlite:///mlflow.db"
    result = Result.read(relative)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    _, children = Stores.in_files(folder).runs()
    assert list(result.trials["run_id"]) == [children[0].info.run_id]
    assert "timeline" in result.figures()
    assert list(elsewhere.iterdir()) == []


def test_runs_that_are_gone_are_looked_for_without_making_a_store(
    experiment: Experiment, folder: Path
) -> None:
    """Somebody has moved MLflow's file away."""
    runs = Result.read(experiment).runs
    (folder / "mlflow.db").unlink()

    assert read_trial_runs(experiment, runs) == []
    assert not (folder / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [(["best", "--evaluate"], 2), (["best", "--retrain", "1"], 2), (["report"], 0)],
)
def test_reading_makes_no_database_for_mlflow(
    experiment: Experiment, folder: Path, words: list[str], code: int
) -> None:
    """Where it is gone, the study is still there, and what is missing is told."""
    (folder / "mlflow.db").unlink()
    file = str(folder / "experiment.yaml")
    result = CliRunner().invoke(app, [*words, file])

    assert result.exit_code == code, result.output
    assert not (folder / "mlflow.db").exists()
    assert ("MLflow does not have" in result.stderr) == (words[-1] == "--evaluate")


def test_names_with_brackets_are_printed_as_they_are(folder: Path) -> None:
    """Rich's markup would swallow them, or end the command with an error."""
    (folder / "[old]").mkdir()
    storage = f"sqlite:///{folder}/[old]/optuna.db"
    words = ["--set", "name=a[/b]", "--set", f"study.storage={storage}"]
    experiment = make_experiment(folder, "name=a[/b]", f"study.storage={storage}")
    make_study(experiment, [TRIAL])
    file = str(folder / "experiment.yaml")
    result = CliRunner().invoke(app, ["status", file, *words])

    assert result.exit_code == 0, result.output
    assert "a[/b]: 1 COMPLETE" in result.stdout
    assert f"optuna-dashboard {storage}" in result.stdout
