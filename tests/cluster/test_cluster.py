"""Sweeps on a real cluster: nodes as processes of their own, with tokens."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fault_table import MakeSweep
from harness import WORKER, Sweep, check_invariant
from processes import command, kill_all, wait_until
from ray_cluster import RayCluster, RayNode
from support import DIGITS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A head with one core, a node with two, and one with two GPUs that are made up."""
    with RayCluster(head_cpus=1, PYTHONPATH=str(SUPPORT)) as cluster:
        cluster.add_node(cpus=2)
        cluster.add_node(cpus=6, gpus=2)
        yield cluster


def sweep(
    folder: Path, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the sweep's, in an environment that knows of no token."""
    (folder / "digits.yaml").write_text(DIGITS)
    own = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-m", "sweep", *words],
        cwd=folder,
        env={**own, "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def check(cluster: RayCluster, folder: Path, *settings: str) -> tuple[int, str]:
    """What `check` says of the digits on a cluster."""
    options = [f"--set={s}" for s in (f"ray.address={cluster.address}", *settings)]
    done = sweep(folder, "check", "digits.yaml", *options, **cluster.environment)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def seen(cluster: RayCluster) -> Mapping[float, list[dict[str, Any]]]:
    """What the workers of a pool see, by each one's share of a GPU; see witness.py."""
    pools = {0.0: 9, 0.5: 4, 0.4: 4, 1.0: 2}
    words = [f"{workers}x{share}" for share, workers in pools.items()]
    done = subprocess.run(
        [sys.executable, "witness.py", cluster.address, *words],
        cwd=SUPPORT,
        env={**os.environ, **cluster.environment},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = map(json.loads, done.stdout.splitlines()[-len(pools) :])
    return dict(zip(pools, said, strict=True))


def test_check_names_the_nodes_and_what_each_gets(
    cluster: RayCluster, tmp_path: Path
) -> None:
    """Name, address, cores, GPUs, workers and packs; nothing is written."""
    code, said = check(cluster, tmp_path, "study.trials=64", "ray.gpus_per_worker=0")
    head, small, large = cluster.nodes

    assert code == 0, said
    assert "9 workers, each with 1 CPU" in said
    assert f"{head.name} ({head.ip}): 1 CPU, 0 GPU: 1 worker, 1 pack of up to" in said
    assert f"{small.name} ({small.ip}): 2 CPU, 0 GPU: 2 workers, 2 packs of" in said
    assert f"{large.name} ({large.ip}): 6 CPU, 2 GPU: 6 workers, 6 packs of" in said
    assert [file.name for file in tmp_path.iterdir()] == ["digits.yaml"]


@pytest.mark.parametrize(
    ("verb", "setting", "needed"),
    [
        ("check", "ray.cpus_per_worker=7", "7 CPU"),
        ("run", "ray.gpus_per_worker=3", "3 GPU"),
    ],
)
def test_a_cluster_without_a_node_that_is_large_enough_is_refused_at_once(
    verb: str, setting: str, needed: str, cluster: RayCluster, tmp_path: Path
) -> None:
    """The nodes have nine cores together, but none has seven."""
    at = f"--set=ray.address={cluster.address}"
    words = verb, "digits.yaml", at, f"--set={setting}"
    done = sweep(tmp_path, *words, **cluster.environment)

    assert done.returncode == 1, done.stderr
    assert "no node has room for a worker: it needs" in done.stderr
    assert needed in done.stderr
    assert f"{cluster.head.name} ({cluster.head.ip}): 1 CPU, 0 GPU" in done.stderr
    assert not (tmp_path / "optuna.db").exists()


TOKENS = {
    "wrong": ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}, "another token"),
    "missing": ({"RAY_AUTH_MODE": "token"}, "there is none here; set it in RAY_AUTH"),
    "mode unset": ({}, "there is none here; set it in RAY_AUTH_TOKEN"),
    "switched off": ({"RAY_AUTH_MODE": "disabled"}, "`disabled` here"),
}


@pytest.mark.parametrize(
    ("verb", "how"), [*(("check", how) for how in TOKENS), ("run", "wrong")]
)
def test_a_token_that_does_not_fit_is_one_message(
    verb: str, how: str, cluster: RayCluster, tmp_path: Path
) -> None:
    """With what to set, at once, and without the token itself."""
    environment, expected = TOKENS[how]
    at = f"--set=ray.address={cluster.address}"
    done = sweep(tmp_path, verb, "digits.yaml", at, **environment)

    assert done.returncode == 1, done.stderr
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "f" * 64 not in done.stdout + done.stderr
    assert not (tmp_path / "optuna.db").exists()


def test_workers_of_one_node_share_one_copy_of_the_data(
    seen: Mapping[float, list[dict[str, Any]]],
) -> None:
    """Their arrays are the same bytes of shared memory, fetched once for each node."""
    said = seen[0.0]
    places = {node: set[str]() for node in {s["node"] for s in said}}
    for worker in said:
        places[worker["node"]].add(json.dumps(worker["memory"]))

    assert sorted(Counter(s["node"] for s in said).values()) == [1, 2, 6]
    assert {len(found) for found in places.values()} == {1}
    assert len(set.union(*places.values())) == 3
    assert all("/dev/shm" in place for (place,) in places.values())
    assert not any(s["is_writable"] for s in said)
    assert len({s["sum"] for s in said}) == 1


@pytest.mark.parametrize(("share", "on_each"), [(0.5, 2), (0.4, 2), (1.0, 1)])
def test_each_worker_sees_its_own_gpu_alone(
    share: float, on_each: int, seen: Mapping[float, list[dict[str, Any]]]
) -> None:
    """Fractions share one, whole ones do not; all are where the GPUs are."""
    said = seen[share]

    assert Counter(s["gpus"] for s in said) == {"0": on_each, "1": on_each}
    assert {s["device"] for s in said} == {"cuda"}
    assert len({s["node"] for s in said}) == 1


def workers_on(node: RayNode) -> list[int]:
    """A node's processes that are workers of a sweep."""
    return [pid for pid in node.processes if WORKER in command(pid)]


def join(cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Put a cluster's token into the environment; return the sweep's settings."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return f"ray.address={cluster.address}", "ray.gpus_per_worker=0"


def trained_on(made: Sweep) -> set[str]:
    """The nodes that have trained an epoch, as MLflow has them."""
    _, runs = made.stores.runs()
    workers = (run.data.tags.get("sweep.worker", "") for run in runs.values())
    return {worker.partition("/")[0] for worker in workers}


def test_a_killed_driver_leaves_no_worker_behind(
    cluster: RayCluster,
    make_sweep: MakeSweep,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """And the same command goes on where it was."""
    made = make_sweep()
    made.start_training(*join(cluster, monkeypatch))
    assert any(map(workers_on, cluster.nodes))
    kill_all([made.pid])
    wait_until(lambda: not any(map(workers_on, cluster.nodes)), 60, "its workers end")
    made.finish()
    check_invariant(made.stores, tmp_path)


def test_nodes_may_leave_and_join_in_mid_sweep(
    make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Work of the lost node goes on, the new one gets some, and no worker stays."""
    with RayCluster(head_cpus=1) as cluster:
        doomed = cluster.add_node(cpus=2)
        made = make_sweep()
        settings = join(cluster, monkeypatch)
        made.start_training(
            *settings, "ray.trials_per_worker=1", "solver.num_epochs=200"
        )
        wait_until(lambda: doomed.name in trained_on(made), 120, "the node trains")
        cluster.kill_node(doomed)
        wait_until(lambda: f"node {doomed.name} is gone" in made.output, 120, "told")
        joined = cluster.add_node(cpus=2)
        wait_until(lambda: f"node {joined.name} joined" in made.output, 120, "told")
        made.finish()
        wait_until(lambda: not any(map(workers_on, cluster.nodes)), 30, "workers end")
    again = check_invariant(made.stores, tmp_path)

    assert made.commands == 1, made.output
    assert again > 0
    assert {cluster.head.name, joined.name} <= trained_on(made)
