"""Kill anything at any moment, type the same command again: nothing is lost."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep

import pytest

from fault_table import MakeSweep, Note
from harness import RAYLET, TRACKER, WORKER, Sweep, check_invariant
from processes import kill_all, send, wait_until
from servers import MlflowServer, Postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


# enough to train for all that happens to a sweep
LONG = ("solver.num_epochs=60", "study.pruner=none")
LONGER = ("solver.num_epochs=180", "study.pruner=none")


def kill_driver(sweep: Sweep) -> None:
    """Kill the driver alone; its workers go with it."""
    assert sweep.processes(WORKER), "it has no workers"
    kill_all([sweep.pid])
    wait_until(lambda: not sweep.processes(WORKER), 60, "its workers end")


def damage_newest_checkpoint(sweep: Sweep) -> None:
    """Cut it off, or alter one of its bits."""
    files = sweep.stores.folder.glob("sweeps/*/trials/*/*.safetensors")
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    content = bytearray(newest.read_bytes())
    place = sweep.random.randrange(len(content))
    if sweep.random.random() < 0.5:
        del content[place:]
    else:
        content[place] ^= 1 << sweep.random.randrange(8)
    newest.write_bytes(content)


def kill_one(sweep: Sweep, kind: str) -> None:
    """Kill the sweep's only process of a kind."""
    [pid] = sweep.processes(kind)
    kill_all([pid])


def finish_and_check(sweep: Sweep, fault: str, note: Note, folder: Path) -> int:
    """Type the command until it ends well; then all is there, and there once.

    Returns:
        How many trials were begun more than once.
    """
    note("fault", fault)
    try:
        sweep.finish()
    finally:
        note("commands", sweep.commands)
    begun_again = check_invariant(sweep.stores, folder)
    note("begun again", begun_again)
    wait_until(lambda: not sweep.processes(WORKER), 60, "its workers end")
    return begun_again


def test_a_sweep_goes_on_without_a_worker_and_without_mlflow(
    make_sweep: MakeSweep,
    mlflow_server: MlflowServer,
    record_property: Note,
    tmp_path: Path,
) -> None:
    """One command: a worker is killed, another stops for ever, MLflow is away."""
    sweep = make_sweep("servers")
    sweep.start_training(*LONGER, "ray.patience=5s")
    killed, frozen = sweep.random.sample(sweep.processes(WORKER), 2)
    mlflow_server.kill()
    sweep.begin_again(lambda: kill_all([killed]))
    sleep(sweep.random.uniform(0.0, 3.0))
    mlflow_server.start()
    sweep.begin_again(lambda: send(signal.SIGSTOP, [frozen]))

    assert sweep.wait() == 0, sweep.output[-3000:]
    finish_and_check(sweep, "workers and MLflow lost", record_property, tmp_path)


def test_postgresql_may_be_away_for_a_while(
    make_sweep: MakeSweep, postgres: Postgres, record_property: Note, tmp_path: Path
) -> None:
    """One command: its connections are closed, and later nobody answers for a while."""
    sweep = make_sweep("postgresql")
    sweep.start_training(*LONG)
    postgres.restart(sweep.random.choice(["fast", "immediate"]))
    sweep.train_on()
    postgres.freeze()
    sleep(sweep.random.uniform(1.0, 5.0))
    postgres.thaw()

    assert sweep.wait() == 0, sweep.output[-3000:]
    finish_and_check(sweep, "PostgreSQL away", record_property, tmp_path)


def test_whatever_ends_the_command_typed_again_it_ends_with_every_trial(
    make_sweep: MakeSweep, record_property: Note, tmp_path: Path
) -> None:
    """Driver, raylet and tracker are killed; one checkpoint is damaged, too."""
    sweep = make_sweep()
    sweep.start_training(*LONG)
    kill_driver(sweep)
    damage_newest_checkpoint(sweep)
    sweep.start_training()
    kill_one(sweep, TRACKER)
    assert sweep.wait() == 1
    sweep.start_training()
    kill_one(sweep, RAYLET)

    assert finish_and_check(sweep, "processes killed", record_property, tmp_path) > 0


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
