"""The view on real terminals: of a sweep that runs, and of one that was killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_table import MakeSweep
from harness import EXPERIMENT, WORKER
from processes import in_session, kill_all, wait_until
from stores import Stores
from terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

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


def test_a_study_that_a_killed_driver_has_left_can_be_watched(
    make_sweep: MakeSweep, terminals: list[Terminal]
) -> None:
    """Its trials as they were, who ran it, how to go on; looking changes nothing."""
    sweep = make_sweep()
    sweep.start_training("study.trials=8", "solver.num_epochs=60")
    kill_all([sweep.pid])
    wait_until(lambda: not sweep.processes(WORKER), 10, "its workers end")
    before = everything(sweep.stores)

    terminal = watch(sweep.stores, terminals)
    words = f"the last was process {sweep.pid} on", "python -m sweep run digits.yaml"
    assert_fits(wait_for_frame(terminal, *words, "/60"), 80, 24)
    terminal.press("\x03")

    assert terminal.wait(PATIENCE_S) == 0
    assert terminal.is_clean
    assert terminal.rest == ""
    assert everything(sweep.stores) == before


def test_whoever_watches_sees_a_sweep_begin_and_end(
    make_sweep: MakeSweep, terminals: list[Terminal]
) -> None:
    """From before its first trial to the table of the best, by itself."""
    sweep = make_sweep()
    terminal = watch(sweep.stores, terminals)
    wait_for_frame(terminal, "No trials yet. To begin:")
    sweep.start("study.trials=8", "solver.num_epochs=60")
    wait_for_frame(terminal, "/60", "epochs/min", "busy")

    assert sweep.wait() == 0
    assert terminal.wait(PATIENCE_S) == 0
    assert terminal.is_clean
    assert "digits: " in terminal.rest
    assert "See every trial:" in terminal.rest


def test_without_the_folder_the_database_alone_is_shown(
    make_sweep: MakeSweep, terminals: list[Terminal], tmp_path: Path
) -> None:
    """As on another machine: the trials and their curves, but not who trains them."""
    sweep = make_sweep()
    sweep.start_training("study.trials=8", "solver.num_epochs=60")
    kill_all([sweep.pid])
    wait_until(lambda: not sweep.processes(WORKER), 10, "its workers end")

    terminal = watch(sweep.stores, terminals, "--set", "study.folder=elsewhere")
    frame = wait_for_frame(terminal, "the last was process", "/60")
    assert not any("/0:" in text or "/1:" in text for text in frame)
    terminal.press("\x03")
    assert terminal.wait(PATIENCE_S) == 0
    assert not (tmp_path / "elsewhere").exists()


def test_a_quiet_run_prints_the_status_alone(tmp_path: Path) -> None:
    """With --json; and nothing on standard error, where errors would be."""
    (tmp_path / "digits.yaml").write_text(EXPERIMENT)
    told = subprocess.run(
        [*SWEEP, "run", "digits.yaml", "--quiet", "--json", "--set", "study.trials=2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(told.stdout)["trials"]["COMPLETE"] == 2
    assert len(told.stdout.splitlines()) == 1
    assert told.stderr == ""


def watch(stores: Stores, terminals: list[Terminal], *more: str) -> Terminal:
    """`status --watch` on a terminal of 80 x 24."""
    settings = ("--set", "study.trials=8", "--set", "solver.num_epochs=60", *more)
    command = (*SWEEP, "status", "digits.yaml", "--watch", *settings)
    terminals.append(Terminal(command, stores.folder, (80, 24)))
    return terminals[-1]


def everything(stores: Stores) -> tuple[object, ...]:
    """All that the study's database and folder hold."""
    trials = [(t.state, t.params, t.intermediate_values) for t in stores.trials()]
    logs = [file.read_bytes() for file in stores.folder.glob("sweeps/*/events.jsonl")]
    return trials, logs, sorted(stores.folder.rglob("*.safetensors"))
