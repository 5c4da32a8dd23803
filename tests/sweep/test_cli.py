"""The commands with wrong input: one message, exit code 2, nothing left behind."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import ray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from rich.console import Console
from typer.testing import CliRunner, Result

from support import DIGITS, make_node
from sweep import session
from sweep.cli import app
from sweep.config import load
from sweep.errors import ClusterError
from sweep.interrupt import Interrupt, handlers_kept
from sweep.plan import Plan
from sweep.tracking_process import TrackerProcess


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A right experiment, alone in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "experiment.yaml"
    path.write_text(DIGITS)
    return path


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("study.trails=8", "study.trails: unknown key"),
        ("study.trials=many", "found 'many'; allowed: integer"),
        ("model.hidden_dim={int: [16, 4]}", "allowed: a range [low, high] with low"),
        (
            "model.reg={float: [0, 1], log: true}",
            "with log: true, a range with low > 0",
        ),
        ("model.hidden_dim=-1", "found -1; allowed: a whole number >= 1"),
        ("name=''", "found ''; allowed: text that is not empty"),
        ("study.enqueue=[{hidden_dim: 400}]", "found 400; allowed: int 4 to 16"),
        ("study.storage=sqlite:////no/such/folder/x.db", "there is no folder"),
        ("mlflow.tracking_uri=sqlite:////no/such/folder/x.db", "there is no folder"),
        ("mlflow.tracking_uri=sqlite:///experiment.yaml", "not a SQLite database"),
        ("study.storage=sqlite:///.", "it is a folder"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_wrong_setting_ends_with_2_and_leaves_nothing(
    file: Path, command: str, override: str, message: str
) -> None:
    """Neither run nor check writes a file or starts anything before it says so."""
    result = call(command, str(file), "--set", override)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stdout == ""
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("", "the file is empty"),
        ("name: [1, 2", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_yaml_ends_with_2(
    file: Path, text: str | None, message: str
) -> None:
    """Missing, empty or broken: the message names the file."""
    file.unlink() if text is None else file.write_text(text)
    result = call("run", str(file))

    assert result.exit_code == 2
    assert message in result.stderr
    assert str(file) in result.stderr


def test_a_command_that_is_not_there_ends_with_2(file: Path) -> None:
    """So does an option without its value."""
    assert call("rum", str(file)).exit_code == 2
    assert call("run").exit_code == 2
    assert call("run", str(file), "--set").exit_code == 2


@pytest.mark.slow
def test_data_that_will_not_do_end_with_2(file: Path) -> None:
    """The message names the file, no store is made, and Ray, which runs, ends."""
    folder = file.parent / "images" / "train" / "cat"
    folder.mkdir(parents=True)
    (folder / "0.png").write_bytes(b"no image")
    before = sorted(file.parent.iterdir())
    data = ("--set", "data.dataset=image_folder", "--set", "data.root=images")
    result = call("run", str(file), *data)

    assert result.exit_code == 2
    assert "error: data: " in result.stderr
    assert str(Path("images", "train", "cat", "0.png")) in result.stderr
    assert not ray.is_initialized()
    assert sorted(file.parent.iterdir()) == before


def test_check_prints_the_plan_and_writes_nothing(file: Path) -> None:
    """Settings, space, workers, data: all that run would do."""
    result = call("check", str(file))

    assert result.exit_code == 0
    assert "hidden_dim     int 4 to 16" in result.stdout
    assert "searched" in result.stdout
    assert "data      found: digits" in result.stdout
    assert "inputs    normalize: mean, flip: false" in result.stdout
    assert "each with 1 CPU and 1 trial at a time" in result.stdout
    assert "no trials yet" in result.stdout
    assert list(file.parent.iterdir()) == [file]


def store_trials(trials: int) -> None:
    """Have Optuna's storage in the current folder hold so many complete trials."""
    study = optuna.create_study(storage="sqlite:///optuna.db", study_name="digits")
    params = {"hidden_dim": 8, "learning_rate": 0.1}
    space: dict[str, BaseDistribution] = {
        "hidden_dim": IntDistribution(4, 16),
        "learning_rate": FloatDistribution(0.01, 0.5, log=True),
    }
    for _ in range(trials):
        trial = optuna.create_trial(params=params, distributions=space, value=0.5)
        study.add_trial(trial)


def test_check_plans_for_the_trials_that_are_left(file: Path) -> None:
    """The study has four of five, so one worker is enough, however many cores."""
    store_trials(4)
    result = call("check", str(file), "--set", "study.trials=5")

    assert "workers   1 worker, each with 1 CPU and 1 trial" in result.stdout
    assert "4 COMPLETE" in result.stdout


@pytest.mark.parametrize(("fresh", "workers"), [(False, 1), (True, 3)])
def test_run_starts_workers_for_the_trials_that_are_left(
    file: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool, workers: int
) -> None:
    """With --fresh, that is all of them."""
    store_trials(4)
    plans: list[Plan] = []

    def stop(plan: Plan, *_: Any) -> None:
        plans.append(plan)
        raise ClusterError("as far as this")

    monkeypatch.setattr(session, "RayPool", stop)
    experiment = load(file, ["study.trials=5"])
    with handlers_kept(), pytest.raises(ClusterError, match="as far as this"):
        session.run_sweep(
            experiment,
            [make_node(cpus=3)],
            TrackerProcess(experiment),
            Console(quiet=True),
            Interrupt(print),
            on_ready=lambda: None,
            fresh=fresh,
        )

    assert [plan.workers for plan in plans] == [workers]


def test_check_says_how_images_become_inputs(file: Path) -> None:
    """Both settings of the data show as the YAML spells them."""
    settings = ("--set", "data.normalize=pixel", "--set", "data.flip=true")
    result = call("check", str(file), *settings)

    assert "inputs    normalize: pixel, flip: true" in result.stdout


def test_check_says_what_is_missing(file: Path) -> None:
    """Data that run would have to fetch are no mistake, but are told."""
    result = call("check", str(file), "--set", "data.dataset=cifar10")

    assert result.exit_code == 0
    assert "NOT FOUND" in result.stdout


def test_the_status_of_a_sweep_that_never_ran_is_empty(file: Path) -> None:
    """All counts are zero, and looking makes no store."""
    result = call("status", str(file), "--json")

    assert json.loads(result.stdout) == {
        "name": "digits",
        "study_name": "digits",
        "storage": "sqlite:///optuna.db",
        "tracking_uri": "sqlite:///mlflow.db",
        "experiment_id": None,
        "parent_run_id": None,
        "trials": {"WAITING": 0, "RUNNING": 0, "COMPLETE": 0, "PRUNED": 0, "FAIL": 0},
        "best": None,
    }
    assert list(file.parent.iterdir()) == [file]


def test_watching_and_json_exclude_each_other(file: Path) -> None:
    """One is for people and goes on, the other for programs and ends."""
    result = call("status", str(file), "--watch", "--json")

    assert result.exit_code == 2
    assert "--watch is for people, --json for programs" in result.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [("check", "stopped\n"), ("run", "stopped; the same command goes on from here\n")],
)
def test_ctrl_c_promises_to_go_on_where_that_is_so(
    file: Path, monkeypatch: pytest.MonkeyPatch, command: str, said: str
) -> None:
    """A run goes on; of what only looks there is nothing to go on with."""

    def press_ctrl_c(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"sweep.commands.{command}", press_ctrl_c)
    result = call(command, str(file))

    assert (result.exit_code, result.stderr) == (130, said)


def test_help_speaks_of_values_by_name() -> None:
    """No option shows the Python type that it has here, and no name is a pattern."""
    for command in app.registered_commands:
        assert command.callback is not None
        usage = call(command.callback.__name__, "--help").stdout
        assert "--help" in usage
        assert not re.search(r"--\S+ +<", usage)
        assert "...}" not in usage


def test_help_imports_nothing_heavy() -> None:
    """`--help` answers without the libraries that take seconds to import."""
    heavy = {"torch", "ray", "mlflow", "optuna", "numpy", "pydantic"}
    code = (
        "import sys; from typer.testing import CliRunner; from sweep.cli import app; "
        "assert 'run' in CliRunner().invoke(app, ['--help']).stdout; "
        f"print({heavy!r} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert found.stdout == "set()\n"
