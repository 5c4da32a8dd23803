"""A real Ray cluster on this machine: a head and as many nodes as a test wants.

Each node is `ray start` in processes of its own, with resources of its own and, since
all of 127.0.0.0/8 is this machine, an address of its own. Tokens are on. So:

    with RayCluster(head_cpus=1) as cluster:
        node = cluster.add_node(cpus=2, gpus=2)    # GPUs may be made up
        subprocess.run([..., "--set", f"ray.address={cluster.address}"],
                       env={**os.environ, **cluster.environment})
        cluster.kill_node(node)

With `include_dashboard`, jobs can be submitted to `cluster.dashboard` (wants Ray's
extra `default`). A driver has to run on the head's machine and in its network.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from processes import free_port, in_session, kill_all, send, wait_until

_START_S = 150.0
_STARTS = 5  # on a busy machine Ray may find itself too slow, after 30 s, and give up
# a dead node is noticed in seconds; by Ray's defaults it takes half a minute
_HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "3",
}
_STORE_BYTES = 100 * 1024**2  # of shared memory for each node


@dataclass(frozen=True)
class RayNode:
    """A node of a cluster.

    Attributes:
        name: Its name, as Ray knows it.
        ip: Its address.
        cpus: Its CPU cores, as it says.
        gpus: Its GPUs, as it says.
        pid: The process `ray start --block`, whose session has all its processes.
        log: What that has printed.
    """

    name: str
    ip: str
    cpus: int
    gpus: int
    pid: int
    log: Path

    @property
    def processes(self) -> list[int]:
        """Its living processes."""
        return in_session(self.pid)

    def starts(self) -> bool:
        """Wait for it; whether it did not give up."""
        wait_until(lambda: self._is_up or not self.processes, _START_S, "a node starts")
        return self._is_up

    @property
    def _is_up(self) -> bool:
        return "Ray runtime started" in self.log.read_text()


class RayCluster:
    """A head and nodes, each of which can be killed or frozen.

    Attributes:
        address: Where drivers and nodes join it, as `host:port`.
        dashboard: The dashboard's URL; nobody listens there unless it was wanted.
        token: What everybody has to know who joins.
        environment: What a process needs in its environment to join.
        head: The first node.
        nodes: All that live, the head among them.
    """

    def __init__(
        self,
        head_cpus: int = 1,
        head_gpus: int = 0,
        *,
        include_dashboard: bool = False,
        auth_mode: str = "token",
        **environment: str,
    ) -> None:
        """Start a head, and wait until it takes drivers.

        Args:
            head_cpus: Its CPU cores, as it says; may be 0, or more than there are.
            head_gpus: Its GPUs, as it says.
            include_dashboard: Whether it has a dashboard, for jobs.
            auth_mode: `token` or `disabled`.
            environment: More for the environment of its processes and workers.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
        self._subnet = f"127.{secrets.randbelow(253) + 1}.{secrets.randbelow(256)}"
        self._numbers = count(1)
        self.token = secrets.token_hex(32)
        self.environment = {"RAY_AUTH_MODE": auth_mode, "RAY_USAGE_STATS_ENABLED": "0"}
        if auth_mode == "token":
            self.environment["RAY_AUTH_TOKEN"] = self.token
        self._own = environment
        self._started: list[subprocess.Popen[bytes]] = []
        self.nodes: list[RayNode] = []
        ip, port = f"{self._subnet}.1", free_port()
        self.address = f"{ip}:{port}"
        dashboard = free_port()
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        how = (
            f"--head --port={port} --dashboard-host=127.0.0.1 "
            f"--include-dashboard={str(include_dashboard).lower()} "
            f"--dashboard-port={dashboard} {_client_server()}"
        )
        try:
            self.head = self._start(head_cpus, head_gpus, how)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add_node(self, cpus: int = 1, gpus: int = 0) -> RayNode:
        """Start a further node, and wait until the cluster has it."""
        return self._start(cpus, gpus, f"--address={self.address}")

    def kill_node(self, node: RayNode) -> None:
        """Kill all processes of a node at once, as if its plug was pulled."""
        kill_all(node.processes)
        self.nodes.remove(node)

    def freeze_node(self, node: RayNode) -> None:
        """Stop all processes of a node, as if its network cable was pulled."""
        send(signal.SIGSTOP, node.processes)

    def close(self) -> None:
        """Kill every node, and leave no file behind."""
        for node in reversed(self.nodes.copy()):
            self.kill_node(node)
        for process in self._started:
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, cpus: int, gpus: int, how: str) -> RayNode:
        options = (
            f"{how} --num-cpus={cpus} --num-gpus={gpus} "
            f"--object-store-memory={_STORE_BYTES} "
            f"--dashboard-agent-listen-port={free_port()} "
            "--min-worker-port=0 --max-worker-port=0 --disable-usage-stats --block"
        )
        for _ in range(_STARTS):
            node = self._spawn(options.split(), cpus, gpus)
            self.nodes.append(node)
            if node.starts():
                return node
            self.nodes.remove(node)
        raise RuntimeError(f"{node.name} does not start: {node.log.read_text()}")

    def _spawn(self, options: Sequence[str], cpus: int, gpus: int) -> RayNode:
        number = next(self._numbers)
        name, log = f"node-{number}", self._folder / f"{number}.log"
        ip = f"{self._subnet}.{number}"
        folder = f"{self._folder}/{number}"
        own = f"--node-ip-address={ip} --node-name={name} --temp-dir={folder}".split()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [_ray(), "start", *options, *own],
                env={**os.environ, **_HEALTH, **self.environment, **self._own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        return RayNode(name, ip, cpus, gpus, process.pid, log)


def _ray() -> str:
    """The program that starts nodes, of the very Python that runs the tests."""
    return str(Path(sys.executable).with_name("ray"))


def _client_server() -> str:
    """Not Ray's fixed port for remote clients, where there are such clients."""
    has_clients = find_spec("grpc") is not None
    return f"--ray-client-server-port={free_port()}" if has_clients else ""
