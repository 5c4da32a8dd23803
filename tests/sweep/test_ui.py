"""`sweep ui` as people use it: the command, MLflow's own server, a real browser."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from typer.testing import CliRunner

from browser import Browser
from fcnet.image_data import Data
from processes import descendants, free_port, is_alive, kill_all, wait_until
from stores import Stores
from support import DIGITS
from sweep.cli import app
from sweep.config import load
from sweep.errors import UsageError
from sweep.ui import command
from sweep.ui.server import Server, choose_port
from tracked import sweep_here

PROXY = f"http://127.0.0.1:{free_port()}"
COMMAND = (sys.executable, "-m", "sweep")
# MLflow's pages ask who has logged in, of a server that lets everybody in, and change
# their size while they are drawn
_MLFLOW_S_OWN = ("/ajax-api/2.0/mlflow/users/current", "ResizeObserver loop")


def complaints(browser: Browser) -> list[str]:
    """What the page has complained of, but for what it always does."""
    said = browser.errors()
    return [text for text in said if not any(own in text for own in _MLFLOW_S_OWN)]


@dataclass
class Ui:
    """A `sweep ui` that runs.

    Attributes:
        process: Its process.
        options: What it was told behind the file.
        address: The page that it has opened.
    """

    process: subprocess.Popen[str]
    options: tuple[str, ...]
    address: str

    @property
    def server(self) -> str:
        """Where MLflow's server listens: host and port."""
        return self.address.split("/")[2]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Ui]:
    """The command in a folder, with a browser that takes the address down.

    Where it runs, the web is behind a proxy that knows nothing of this machine.
    """
    note = folder / "opened"
    note.unlink(missing_ok=True)
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {note}.new && mv {note}.new {note}\n')
    browser.chmod(0o700)
    process = subprocess.Popen(
        [*COMMAND, "ui", "digits.yaml", *options],
        cwd=folder,
        env={**os.environ, "BROWSER": f"{browser} %s", "http_proxy": PROXY},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: note.exists() or process.poll() is not None, 240.0, "opened")
        assert process.poll() is None, "it ended by itself"
        yield Ui(process, options, note.read_text().strip())
    finally:
        kill_all([process.pid, *descendants(process.pid)])
        process.communicate()


@pytest.fixture(scope="module")
def ui_folder(module_folder: Path, digits: Data) -> Path:
    """A folder in which a sweep of four trials has run, in this very process."""
    (module_folder / "digits.yaml").write_text(DIGITS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(module_folder)
        sweep_here(load(Path("digits.yaml")), digits)
    return module_folder


@pytest.fixture(scope="module")
def ui(ui_folder: Path) -> Iterator[Ui]:
    """The command in that folder, on a port of one's choice, ended with Ctrl-C."""
    with running(ui_folder, "--port", str(free_port())) as ui:
        yield ui
        pids = descendants(ui.process.pid)
        ui.process.send_signal(signal.SIGINT)
        assert ui.process.wait(timeout=60) == 0, "Ctrl-C is a way to end it, no error"
        assert pids
        assert not any(map(is_alive, pids)), "its end is that of all its processes"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_trials_are_compared_in_a_browser(
    ui: Ui, ui_folder: Path, browser: Browser
) -> None:
    """From the page it opens to curves, all settings, and three runs side by side."""
    browser.resize(2400, 900)  # columns that are not to be seen are not there
    browser.open(ui.address)
    for number in range(4):
        browser.find("a", f"trial-{number:04d}")
    for column in ("sweep.state", "best_val_accuracy", "learning_rate"):
        browser.find(".ag-header-cell", column)
    browser.screenshot(ui_folder / "table.png")

    for box in browser.find_all(".ag-row .ag-selection-checkbox")[:3]:
        box.click()
    browser.find("button", "Compare").click()
    browser.see("Comparing 3 Runs")
    browser.find(".js-plotly-plot")
    assert "best_val_accuracy" in browser.text

    browser.open(f"{ui.address}&compareRunsMode=CHART")
    browser.see("Parallel Coordinates")
    browser.see("Curves, by epoch")
    browser.find(".js-plotly-plot")
    assert complaints(browser) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_study_s_page_describes_it_and_leads_to_its_trials(
    ui: Ui, ui_folder: Path, browser: Browser
) -> None:
    """The parent's description is a table whose links open the children."""
    stores = Stores.in_files(ui_folder)
    parent, children = stores.runs()
    best = int(parent.data.tags["sweep.best_trial"])
    experiment = f"http://{ui.server}/#/experiments/{parent.info.experiment_id}"
    browser.open(f"{experiment}/runs/{parent.info.run_id}")
    browser.find("strong", f"Best: trial {best}")
    browser.find("button", "Show more").click()
    link = browser.find("td a", f"{best:04d}")
    assert link.get_attribute("href") == (
        f"{experiment}/runs/{children[best].info.run_id}"
    )
    browser.open(str(link.get_attribute("href")))
    browser.see(f"trial-{best:04d}")
    browser.find("strong", "COMPLETE")
    assert complaints(browser) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_command_leaves_no_server(ui_folder: Path) -> None:
    """It had no time to end anything, and still nobody has its port."""
    with running(ui_folder) as ui:
        pids = descendants(ui.process.pid)
        assert len(pids) > 1
        ui.process.kill()

        wait_until(lambda: not any(map(is_alive, pids)), 30, "MLflow's server ends")


@contextmanager
def signals_kept() -> Iterator[None]:
    """Have the signals mean afterwards what they meant before."""
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [(number, signal.getsignal(number)) for number in numbers]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_way_to_end_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """As Ctrl-C is: the server is ended, and the exit code is 0."""

    @contextmanager
    def serving(_uri: str, port: int) -> Iterator[Server]:
        process = Mock(wait=lambda: signal.raise_signal(number))
        yield Server(f"http://127.0.0.1:{port}/", process)

    def find_page(*_: object) -> str:
        return "#/"

    monkeypatch.setattr(command, "_find_page", find_page)
    monkeypatch.setattr(command, "serving", serving)
    (folder / "digits.yaml").write_text(DIGITS)

    with signals_kept():
        assert command.show(Path("digits.yaml"), (), print, has_browser=False) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_port_is_listened_on_for_this_machine_alone(ui: Ui) -> None:
    """The port that is asked for, on 127.0.0.1, for pages of that host."""
    port = int(ui.options[-1])
    assert ui.server == f"127.0.0.1:{port}"
    family = [ui.process.pid, *descendants(ui.process.pid)]
    listening = {
        connection.laddr
        for pid in family
        for connection in psutil.Process(pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", port)}
    # a page of another host, whose name was made to lead here
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    page = "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0"
    connection.request("GET", page, headers={"Host": "evil.example"})
    assert connection.getresponse().status == 403
    connection.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_that_is_there_is_opened_and_none_is_started(
    tmp_path: Path, ui: Ui
) -> None:
    """The address is that of the server; the command ends at once."""
    uri = f"mlflow.tracking_uri=http://me:secret@{ui.server}"
    (tmp_path / "digits.yaml").write_text(DIGITS)
    done = subprocess.run(
        [*COMMAND, "ui", "digits.yaml", "--set", uri, "--no-browser"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ui.address


def test_nothing_to_show_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that makes something, exit code 2, and no file made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.yaml").write_text(DIGITS)
    result = CliRunner().invoke(app, ["ui", "digits.yaml"])

    assert result.exit_code == 2
    assert "nothing to show yet" in result.stderr
    assert "python -m sweep run digits.yaml" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["digits.yaml"]


def test_an_experiment_that_mlflow_does_not_have_is_nothing_to_show(
    folder: Path,
) -> None:
    """A store of other experiments is there, this one is not."""
    (folder / "digits.yaml").write_text(DIGITS)
    result = CliRunner().invoke(app, ["ui", "digits.yaml"])

    assert result.exit_code == 2
    assert "has no experiment 'digits'" in result.stderr


def test_a_port_that_somebody_uses_is_refused() -> None:
    """The message names the port and the way out."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port: found {port}: .*allowed"):
            choose_port(port)
