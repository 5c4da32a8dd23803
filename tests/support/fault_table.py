"""How often each fault is tried, and the table of what was lost."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Protocol

import pytest

from harness import Sweep
from stores import MakeStores


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--runs",
        type=int,
        default=1,
        help="how often each fault of tests/faults is tried, at moments drawn anew",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that makes sweeps as many seeds as it is to have runs."""
    if "make_sweep" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--runs")))


class Note(Protocol):
    """Puts a cell of the table into a test's report; pytest's `record_property`."""

    def __call__(self, name: str, value: object) -> None:
        """Note a value by its column."""


class MakeSweep(Protocol):
    """Makes a sweep that is about to be hurt."""

    def __call__(self, kind: str = "sqlite", folder: Path | None = None) -> Sweep:
        """Take a kind of stores, and a folder other than the test's own."""


@pytest.fixture
def make_sweep(
    request: pytest.FixtureRequest, seed: int, tmp_path: Path, make_stores: MakeStores
) -> Iterator[MakeSweep]:
    """Sweeps whose moments are drawn from the seed; none of them outlives the test."""
    sweeps: list[Sweep] = []

    def make(kind: str = "sqlite", folder: Path | None = None) -> Sweep:
        stores = make_stores(kind, folder or tmp_path)
        random = Random(f"{request.node.name} {seed}")
        log = tmp_path / f"output-{len(sweeps)}.log"
        sweeps.append(Sweep(stores, random, log))
        return sweeps[-1]

    yield make
    for sweep in sweeps:
        sweep.kill()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each fault: runs, what had to be done again, what was lost."""
    rows: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            said = dict(report.user_properties)
            if report.when == "call" and "fault" in said:
                lost = _first_line(report) if outcome == "failed" else ""
                row = said.get("commands", 0), said.get("begun again", 0), lost
                rows[str(said["fault"])].append(row)
    if not rows:
        return
    terminalreporter.section("faults")
    head = f"{'fault':45} {'runs':>4} {'commands':>8} {'begun again':>11}  lost"
    terminalreporter.write_line(head)
    for fault, runs in rows.items():
        commands = sum(commands for commands, _, _ in runs)
        again = sum(again for _, again, _ in runs)
        losses = [lost for _, _, lost in runs if lost]
        what = f"{len(losses)} runs: {losses[0]}" if losses else "nothing"
        line = f"{fault:45} {len(runs):4} {commands:8} {again:11}  {what}"
        terminalreporter.write_line(line)


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return "see above" if crash is None else str(crash.message).splitlines()[0]
