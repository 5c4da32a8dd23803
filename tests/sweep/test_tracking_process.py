"""The tracker in its own process: the same runs, the same errors, the same end."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from support import make_ended, make_experiment, make_record, make_report, make_spec
from sweep.errors import StoreError, SweepFailed
from sweep.event_log import EventLog
from sweep.opening import Opening
from sweep.tracking_process import TrackerProcess
from sweep.trial import Event, State, StudySummary

EMPTY = StudySummary(dict.fromkeys(State, 0), (), "the-study")


@pytest.fixture
def tracker(folder: Path) -> Iterator[TrackerProcess]:
    """One for the digits experiment, started and not opened."""
    process = TrackerProcess(make_experiment(folder))
    yield process
    process.stop()


def test_what_is_written_by_the_process_is_read_by_mlflow(
    tracker: TrackerProcess, folder: Path
) -> None:
    """When write returns, it is there; when stop returns, the process is not."""
    tracker.check()
    tracker.open(Opening(folder / "sweep", {}, EMPTY, {}))
    log = EventLog(folder / "sweep")
    ended = Event(3, make_ended(), make_record())
    for event in (Event(1, make_spec()), Event(2, make_report()), ended):
        log.append(event)
    tracker.send()
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.get_experiment_by_name("digits")
    assert found is not None
    runs = {
        run.info.run_name: run.info.status
        for run in client.search_runs([found.experiment_id])
    }
    assert runs == {"digits": "RUNNING", "trial-0000": "FINISHED"}

    tracker.close("FINISHED", 0.5)
    tracker.stop()
    assert not psutil.pid_exists(tracker.pid)


def test_an_error_in_the_process_is_raised_in_the_driver(folder: Path) -> None:
    """With its own type, so that a wrong address is still a usage error."""
    uri = "mlflow.tracking_uri=nonsense://x"
    process = TrackerProcess(make_experiment(folder, uri))
    with pytest.raises(StoreError, match="mlflow.tracking_uri: found nonsense"):
        process.check()
    process.stop()


def test_a_mistake_in_the_process_comes_with_its_traceback(
    tracker: TrackerProcess,
) -> None:
    """What is no error of ours says where it happened."""
    with pytest.raises(SweepFailed, match="Traceback"):
        tracker.open(None)  # type: ignore[arg-type]


def test_a_killed_process_is_an_error_and_not_a_wait(tracker: TrackerProcess) -> None:
    """The driver learns of it with its next call."""
    tracker.check()
    os.kill(tracker.pid, signal.SIGKILL)
    with pytest.raises(SweepFailed, match="has died"):
        tracker.check()


def test_ctrl_c_and_sigterm_do_not_reach_the_process(tracker: TrackerProcess) -> None:
    """The driver alone decides when it ends."""
    kept_back = {signal.SIGINT, signal.SIGTERM}
    assert kept_back <= not_taken(tracker.pid), "from its very beginning"
    tracker.check()  # so its libraries are imported
    assert kept_back <= not_taken(tracker.pid)


def not_taken(pid: int) -> set[int]:
    """The signals that a process ignores or blocks, as Linux has them."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    masks = int(fields["SigIgn"], 16) | int(fields["SigBlk"], 16)
    return {number for number in signal.valid_signals() if masks >> (number - 1) & 1}
