"""A study that has its trials is ended again by its stores alone, without Ray."""

from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from fcnet.image_data import Data
from stores import assert_stores_agree
from support import open_study, tell
from sweep.conduct import conduct
from sweep.interrupt import Interrupt
from sweep.trial import Ending, State, StudySummary, TrialEnded
from swept import Swept

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts Ray fails."""

    def launched(address: str) -> NoReturn:
        raise AssertionError(f"Ray was started: {address}")

    monkeypatch.setattr("sweep.conduct.launched", launched)


@pytest.fixture
def complete(folder: Path, digits: Data) -> Swept:
    """A sweep that has its two trials."""
    swept = Swept(folder)
    swept.run(2, digits)
    return swept


def run_again(swept: Swept, console: Console | None = None) -> StudySummary:
    console = console or Console(quiet=True)
    return conduct(swept.experiment, console, Interrupt(console.print))


def test_a_run_that_wants_no_more_trials_starts_no_ray(complete: Swept) -> None:
    """Both stores are as they were, and people are told how to get more."""
    before = [(t.number, t.state, t.params, t.value) for t in complete.stores.trials()]
    console = Console(record=True, stderr=True)
    summary = run_again(complete, console)

    assert summary.counts[State.COMPLETE] == 2
    trials = complete.stores.trials()
    assert [(t.number, t.state, t.params, t.value) for t in trials] == before
    assert_stores_agree(complete.stores)
    assert complete.stores.runs()[0].info.status == "FINISHED"
    assert not (complete.folder / "sweeps").exists()
    assert "--extend runs more" in console.export_text()


def test_runs_that_mlflow_has_lost_are_made_again(complete: Swept) -> None:
    """A complete study is no reason to leave the stores apart."""
    for file in complete.folder.glob("mlflow.db*"):
        file.unlink()
    run_again(complete)

    assert_stores_agree(complete.stores)
    assert complete.stores.runs()[0].info.status == "FINISHED"


def test_a_trial_that_waits_to_go_on_keeps_what_it_needs(complete: Swept) -> None:
    """With `--extend`, or more trials in the file, it goes on from there."""
    with closing(open_study(complete.experiment)) as study:
        spec = study.ask()
        tell(study, TrialEnded(spec.number, spec.attempt, Ending.INTERRUPTED))
    summary = run_again(complete)

    assert (summary.counts[State.COMPLETE], summary.counts[State.WAITING]) == (2, 1)
    assert list((complete.folder / "sweeps").iterdir())
