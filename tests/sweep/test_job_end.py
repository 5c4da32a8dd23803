"""How a job's end is told: by the job in its log, and to whoever has stopped it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from dashboard import JOB, Dashboard, serving
from support import DIGITS, make_experiment
from sweep.cli import app
from sweep.errors import StoreUnavailable
from sweep.interrupt import Interrupt, handlers_kept
from sweep.jobs import driver
from sweep.jobs.client import JobClient
from sweep.jobs.package import EXPERIMENT, VERSIONS
from sweep.jobs.versions import to_json, versions
from sweep.jobs.words import CHECKED, ENDED, STOPPED


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """A cluster with one job that runs."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with serving(Dashboard()) as dashboard:
        yield dashboard


def submit(dashboard: Dashboard, *words: str) -> Result:
    """Type `submit` with some words behind it."""
    return CliRunner().invoke(app, ["submit", *words, "--address", dashboard.address])


@pytest.mark.parametrize(
    ("log", "code", "told"),
    [
        ("", 0, "stopped: nothing was begun"),
        (f"{CHECKED}\n{ENDED}\n{STOPPED}\n", 0, STOPPED),
        (f"{CHECKED}\n{ENDED}\nerror: no MLflow\n", 1, "error: no MLflow"),
        (f"{CHECKED}\na table\n{ENDED}\n", 0, f"job {JOB} had come to its end before"),
        (f"{CHECKED}\ntrial 0001\n", 1, "killed: it did not end by itself"),
    ],
)
def test_stop_tells_the_end_that_the_log_tells(
    dashboard: Dashboard, log: str, code: int, told: str
) -> None:
    """Killed is who has not said that it ends."""
    dashboard.log = log
    result = submit(dashboard, "--stop", JOB)

    assert result.exit_code == code
    assert result.stdout.splitlines()[1].startswith(told)
    assert ("killed" in result.stdout) == (told.startswith("killed"))


def test_a_cluster_that_is_away_for_a_moment_is_waited_for(
    dashboard: Dashboard,
) -> None:
    """While a job is stopped, as while its log is read."""
    dashboard.log, dashboard.failures = f"{CHECKED}\n{ENDED}\n{STOPPED}\n", 2
    result = submit(dashboard, "--stop", JOB)

    assert dashboard.failures == 0
    assert result.exit_code == 0
    assert STOPPED in result.stdout


def test_ctrl_c_while_a_job_is_sent_says_how_to_find_it(
    dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows then whether there is one."""

    def press_ctrl_c(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(JobClient, "submit", press_ctrl_c)
    file = tmp_path / "digits.yaml"
    file.write_text(make_experiment(tmp_path).to_yaml())
    result = submit(dashboard, str(file))

    assert result.exit_code == 130
    assert f"ray job list --address {dashboard.address}" in result.stdout
    assert "goes on" not in result.output


@pytest.fixture
def job_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A job's own folder, unpacked, as the current one."""
    own = tmp_path / "job"
    own.mkdir()
    monkeypatch.chdir(own)
    text = make_experiment(tmp_path, text=DIGITS).to_yaml()
    (own / EXPERIMENT).write_text(text)
    (own / VERSIONS).write_text(to_json(versions()))
    with handlers_kept():
        yield own


def asked_to_end(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_job_that_ends_with_an_error_has_said_that_it_ends(
    job_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error's message stands behind it."""

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("MLflow did not answer")

    monkeypatch.setattr(driver, "conduct", fail)
    result = CliRunner().invoke(app, ["job"])

    assert result.exit_code == 1
    assert result.output == f"{CHECKED}\n{ENDED}\nerror: MLflow did not answer\n"


def test_a_job_that_is_stopped_before_it_trains_has_stopped(
    job_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As shells count: 128 and the signal's number."""
    monkeypatch.setattr(driver, "conduct", asked_to_end)

    assert driver.run_job(fresh=False) == 143
    assert capsys.readouterr().out == f"{CHECKED}\n{ENDED}\n{STOPPED}\n"


def test_a_signal_while_the_summary_is_printed_changes_nothing(
    job_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All is done by then: the job ends with 0."""

    def conduct(_: object, __: Console, interrupt: Interrupt, *, fresh: bool) -> None:
        interrupt.trials_ended()

    monkeypatch.setattr(driver, "conduct", conduct)
    monkeypatch.setattr(driver, "print_summary", asked_to_end)

    assert driver.run_job(fresh=False) == 0
    assert capsys.readouterr().out == f"{CHECKED}\n{ENDED}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_trial_interrupts_nothing(
    number: signal.Signals,
) -> None:
    """What is still written is written; a second one stops that, too."""
    said: list[str] = []
    with handlers_kept():
        interrupt = Interrupt(said.append)
        interrupt.listen()
        interrupt.trials_ended()
        signal.raise_signal(number)

        assert not interrupt()
        assert interrupt.exit_code is None
        assert "all trials have ended" in said[0]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_a_signal_before_the_last_trial_is_an_interruption() -> None:
    """It stays one when the trials have ended."""
    with handlers_kept():
        interrupt = Interrupt(lambda _: None)
        interrupt.listen()
        signal.raise_signal(signal.SIGTERM)
        interrupt.trials_ended()

    assert interrupt()
    assert interrupt.exit_code == 143
