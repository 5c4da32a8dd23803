"""The view on real terminals: of a sweep that runs, and of one that was killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import left_driver
from fault_table import MakeSweep
from harness import EXPERIMENT
from processes import in_session, kill_all, wait_until
from stores import Stores
from support import DIGITS
from terminal import Terminal

pytestmark = pytest.mark.timeout(400)  # whole sweeps, on whatever machine

SWEEP = (sys.executable, "-m", "sweep")
PATIENCE_S = 150


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Terminals whose processes do not outlive the test."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        kill_all(in_session(terminal.process.pid))
        terminal.process.wait()


def wait_for_frame(terminal: Terminal, *words: str) -> list[str]:
    """Wait for a drawing with all these words in it."""

    def is_there() -> bool:
        assert terminal.process.poll() is None, terminal.output[-3000:]
        return all(any(word in text for text in last()) for word in words)

    def last() -> list[str]:
        return (terminal.frames or [[]])[-1]

    wait_until(is_there, PATIENCE_S, f"a drawing with {words}")
    return last()


def assert_fits(frame: list[str], columns: int, lines: int) -> None:
    """A drawing has as many lines as the terminal, and none is wider."""
    assert len(frame) == lines
    assert max(map(len, frame)) <= columns


@pytest.mark.slow
def test_a_sweep_on_80_by_24_stays_in_its_lines_and_leaves_a_clean_screen(
    tmp_path: Path, terminals: list[Terminal]
) -> None:
    """Whatever size the terminal gets meanwhile; Ctrl-C ends it as everywhere."""
    (tmp_path / "digits.yaml").write_text(EXPERIMENT)
    more = ("--set", "solver.num_epochs=500", "--set", "study.pruner=none")
    command = (*SWEEP, "run", "digits.yaml", *more)
    terminal = Terminal(command, tmp_path, (80, 24))
    terminals.append(terminal)

    wait_for_frame(terminal, "in training", "/500", "epochs/min")
    assert all(len(frame) == 24 for frame in terminal.frames)
    terminal.resize(200, 50)
    wait_until(lambda: len(terminal.frames[-1]) == 50, PATIENCE_S, "it is larger")
    assert_fits(wait_for_frame(terminal, "hidden_dim="), 200, 50)
    terminal.resize(80, 24)
    wait_until(lambda: len(terminal.frames[-1]) == 24, PATIENCE_S, "it is smaller")
    terminal.press("\x03")

    assert terminal.wait(PATIENCE_S) == 128 + signal.SIGINT
    for frame in terminal.frames:
        assert_fits(frame, *((200, 50) if len(frame) == 50 else (80, 24)))
    assert terminal.is_clean
    assert "the same command goes on" in terminal.rest
    assert "See every trial:" in terminal.rest


@pytest.fixture
def killed(folder: Path) -> int:
    """The number of a driver that was killed with two trials in training."""
    (folder / "digits.yaml").write_text(DIGITS)
    driver = subprocess.Popen(
        [sys.executable, left_driver.__file__, "digits.yaml"], stdout=subprocess.PIPE
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"trains\n"
    driver.kill()
    driver.communicate()
    return driver.pid


def test_a_study_that_a_killed_driver_has_left_can_be_watched(
    folder: Path, killed: int, terminals: list[Terminal]
) -> None:
    """Its trials as they were, who ran it, how to go on; looking changes nothing."""
    stores = Stores.in_files(folder)
    before = everything(stores)
    terminal = watch(folder, terminals)
    words = f"the last was process {killed} on", "python -m sweep run digits.yaml"
    frame = wait_for_frame(terminal, *words)
    terminal.press("\x03")

    assert terminal.wait(PATIENCE_S) == 0
    assert terminal.is_clean
    assert terminal.rest == ""
    assert_fits(frame, 80, 24)
    assert "1 of 4 trials  1 COMPLETE" in frame[0]
    rows = [text.split() for text in frame if "2/3" in text]
    assert rows == [[f"000{n}", "2/3", "0.5000", "▁█", "node/1:2"] for n in (1, 2)]
    assert everything(stores) == before


def test_without_the_folder_the_database_alone_is_shown(
    folder: Path, killed: int, terminals: list[Terminal]
) -> None:
    """As on another machine: trials and their curves, but not who trained them."""
    terminal = watch(folder, terminals, "--set", "study.folder=elsewhere")
    frame = wait_for_frame(terminal, f"the last was process {killed} on")
    terminal.press("\x03")

    assert terminal.wait(PATIENCE_S) == 0
    rows = [text.split() for text in frame if "2/3" in text]
    assert rows == [[f"000{n}", "2/3", "0.5000", "▁█"] for n in (1, 2)]
    assert not (folder / "elsewhere").exists()


@pytest.mark.slow
def test_whoever_watches_sees_a_sweep_begin_and_end(
    make_sweep: MakeSweep, terminals: list[Terminal]
) -> None:
    """From before its first trial to the table of the best, by itself."""
    sweep = make_sweep()
    settings = ("--set", "study.trials=8", "--set", "solver.num_epochs=60")
    terminal = watch(sweep.stores.folder, terminals, *settings)
    wait_for_frame(terminal, "No trials yet. To begin:")
    sweep.start("study.trials=8", "solver.num_epochs=60")
    wait_for_frame(terminal, "/60", "epochs/min", "busy")

    assert sweep.wait() == 0
    assert terminal.wait(PATIENCE_S) == 0
    assert terminal.is_clean
    assert "digits: " in terminal.rest
    assert "See every trial:" in terminal.rest


def watch(folder: Path, terminals: list[Terminal], *more: str) -> Terminal:
    """`status --watch` on a terminal of 80 x 24."""
    command = (*SWEEP, "status", "digits.yaml", "--watch", *more)
    terminals.append(Terminal(command, folder, (80, 24)))
    return terminals[-1]


def everything(stores: Stores) -> tuple[object, ...]:
    """All that the study's database and folder hold."""
    trials = [(t.state, t.params, t.intermediate_values) for t in stores.trials()]
    logs = [file.read_bytes() for file in stores.folder.glob("sweeps/*/events.jsonl")]
    return trials, logs, sorted(stores.folder.rglob("*.safetensors"))
