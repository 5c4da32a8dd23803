"""Kill anything at any moment, type the same command again: nothing is lost."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import NamedTuple

import pytest

from fault_table import MakeSweep, Note
from harness import RAYLET, TRACKER, WORKER, Sweep, check_invariant
from processes import kill_all, send, wait_until
from servers import MlflowServer, Postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


def kill_driver(sweep: Sweep) -> None:
    """Kill the driver alone; its workers go with it."""
    assert sweep.processes(WORKER), "it has no workers"
    kill_all([sweep.pid])
    wait_until(lambda: not sweep.processes(WORKER), 10, "its workers end")


def kill_worker(sweep: Sweep) -> None:
    """Kill a worker that trains."""
    kill_all([sweep.random.choice(sweep.processes(WORKER))])


def freeze_worker(sweep: Sweep) -> None:
    """Stop a worker, and never let it go on."""
    send(signal.SIGSTOP, [sweep.random.choice(sweep.processes(WORKER))])


def kill_raylet(sweep: Sweep) -> None:
    """Kill what starts and watches the workers."""
    [raylet] = sweep.processes(RAYLET)
    kill_all([raylet])


def kill_tracker(sweep: Sweep) -> None:
    """Kill the process that writes to MLflow."""
    [tracker] = sweep.processes(TRACKER)
    kill_all([tracker])


def ask_to_end(sweep: Sweep) -> None:
    """Ask it once, or once more before it has ended."""
    number = sweep.random.choice([signal.SIGINT, signal.SIGTERM])
    for _ in range(sweep.random.choice([1, 2])):
        send(number, [sweep.pid])
        sleep(sweep.random.uniform(0.0, 0.5))
    assert sweep.wait() != 0


class Fault(NamedTuple):
    """What is done to a sweep, on which stores, with which settings."""

    strike: Callable[[Sweep], None]
    stores: str = "sqlite"
    settings: tuple[str, ...] = ()


FAULTS = {
    "driver killed": Fault(kill_driver, "servers"),
    "worker killed": Fault(kill_worker),
    "worker frozen": Fault(freeze_worker, settings=("ray.patience=5s",)),
    "raylet killed": Fault(kill_raylet),
    "tracker killed": Fault(kill_tracker),
    "SIGINT or SIGTERM, once or twice": Fault(ask_to_end),
}


def finish_and_check(sweep: Sweep, fault: str, note: Note, folder: Path) -> None:
    """Type the command until it ends well; then all is there, and there once."""
    note("fault", fault)
    try:
        sweep.finish()
    finally:
        note("commands", sweep.commands)
    note("begun again", check_invariant(sweep.stores, folder))


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_dies_the_same_command_ends_with_every_trial(
    fault: str, make_sweep: MakeSweep, record_property: Note, tmp_path: Path
) -> None:
    """Each trial is there once, with a whole curve, the same in both stores."""
    strike, stores, settings = FAULTS[fault]
    sweep = make_sweep(stores)
    sweep.start_training(*settings)
    strike(sweep)
    finish_and_check(sweep, fault, record_property, tmp_path)
    wait_until(lambda: not sweep.processes(WORKER), 10, "its workers end")


def test_a_damaged_checkpoint_costs_no_more_than_its_epochs(
    make_sweep: MakeSweep, record_property: Note, tmp_path: Path
) -> None:
    """The newest one is cut off or altered after the driver was killed."""
    sweep = make_sweep()
    sweep.start_training()
    kill_driver(sweep)
    files = tmp_path.glob("sweeps/*/trials/*/*.safetensors")
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    content = bytearray(newest.read_bytes())
    place = sweep.random.randrange(len(content))
    if sweep.random.random() < 0.5:
        del content[place:]
    else:
        content[place] ^= 1 << sweep.random.randrange(8)
    newest.write_bytes(content)
    finish_and_check(sweep, "checkpoint damaged", record_property, tmp_path)


def test_an_mlflow_server_may_be_away_for_a_while(
    make_sweep: MakeSweep,
    mlflow_server: MlflowServer,
    record_property: Note,
    tmp_path: Path,
) -> None:
    """The sweep goes on, and writes what is missing when the server is back."""
    sweep = make_sweep("servers")
    sweep.start_training()
    mlflow_server.kill()
    sleep(sweep.random.uniform(0.0, 3.0))
    mlflow_server.start()
    finish_and_check(sweep, "MLflow server away", record_property, tmp_path)


def test_an_mlflow_server_may_stay_away_until_after_the_end(
    make_sweep: MakeSweep,
    mlflow_server: MlflowServer,
    record_property: Note,
    tmp_path: Path,
) -> None:
    """The study is complete then; the next start sends what MLflow does not have."""
    sweep = make_sweep("servers")
    sweep.start_training()
    mlflow_server.kill()
    try:
        assert sweep.wait() == 1
        assert "MLflow did not answer" in sweep.output
        states = {trial.state.name for trial in sweep.stores.trials()}
        assert states <= {"COMPLETE", "PRUNED"}
    finally:
        mlflow_server.start()
    finish_and_check(sweep, "MLflow server gone", record_property, tmp_path)


@pytest.mark.parametrize("how", ["restarted", "frozen"])
def test_postgresql_may_be_away_for_a_while(
    how: str,
    make_sweep: MakeSweep,
    postgres: Postgres,
    record_property: Note,
    tmp_path: Path,
) -> None:
    """Its connections are closed in the middle, or it does not answer for a while."""
    sweep = make_sweep("postgresql")
    sweep.start_training()
    if how == "restarted":
        postgres.restart(sweep.random.choice(["fast", "immediate"]))
    else:
        postgres.freeze()
        sleep(sweep.random.uniform(1.0, 5.0))
        postgres.thaw()
    finish_and_check(sweep, f"PostgreSQL {how}", record_property, tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own in memory, of 48 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)]
    mounted = subprocess.run(["mount", *options], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small disk; what to do: run the tests as root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_loses_nothing(
    small_disk: Path, make_sweep: MakeSweep, record_property: Note, tmp_path: Path
) -> None:
    """Folder and stores have no room left in the middle; then there is room again."""
    sweep = make_sweep(folder=small_disk)
    sweep.start_training()
    filling = small_disk / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with suppress(TimeoutError):
        wait_until(lambda: not sweep.is_running, 15, "it gives up")
    filling.unlink()
    finish_and_check(sweep, "disk full", record_property, tmp_path)


def test_of_two_drivers_one_is_refused(
    make_sweep: MakeSweep, record_property: Note, tmp_path: Path
) -> None:
    """It exits with 1 and names the other, which goes on as if nothing had been."""
    sweeps = [make_sweep(), make_sweep()]
    for sweep in sweeps:
        sweep.start("solver.num_epochs=30")
        sleep(sweep.random.uniform(0.0, 2.0))
    refused, other = sorted(sweeps, key=lambda sweep: -sweep.wait())

    assert (refused.wait(), other.wait()) == (1, 0)
    assert str(other.pid) in refused.output
    assert socket.gethostname() in refused.output
    finish_and_check(other, "second driver", record_property, tmp_path)
