"""Runs images as a container engine would: each with files and an address of its own.

`buildah run` gives a process its files; a network namespace on one bridge gives it its
address. The machine is the bridge's end, and reaches a published port from inside the
part's namespace, at 127.0.0.1.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from compose_file import Service
from images import HERE, IMAGE, POSTGRES, buildah
from processes import command, descendants, kill_all, wait_until

_BRIDGE, _NETWORK = "fcnet-sweep", "10.231.7"
_ENTRYPOINTS = {POSTGRES: ("entrypoint",)}
# Docker takes the signal from the image; PostgreSQL's official one names this
_STOP_SIGNALS = {POSTGRES: signal.SIGINT}
_STARTS = 3
_OWNERS = {IMAGE: 10001, POSTGRES: 999}


def addresses(names: Sequence[str]) -> dict[str, str]:
    """An address for each part."""
    return {name: f"{_NETWORK}.{10 + i}" for i, name in enumerate(names)}


@contextmanager
def network(hosts: Mapping[str, str]) -> Iterator[None]:
    """A bridge, and for each part a namespace with its address, while it lasts."""
    try:
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{_NETWORK}.1/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for index, (name, address) in enumerate(hosts.items()):
            _attach(name, f"fcnet{index}", address)
        yield
    finally:
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", _BRIDGE)
        for name in hosts:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", _namespace(name))


def inside(name: str) -> list[str]:
    """The words before a command of this machine that put it on a part's network."""
    return ["nsenter", f"--net=/run/netns/{_namespace(name)}"]


class Container:
    """One part, from its start to its end."""

    def __init__(
        self, name: str, service: Service, hosts: Mapping[str, str], folder: Path
    ) -> None:
        """Make it.

        Args:
            name: Its host's name.
            service: What compose.yaml says of it.
            hosts: The address of each part.
            folder: Of the volumes, and of what it prints.
        """
        self.name, self.service = name, service
        self.log = folder / f"{name}.log"
        self._image = POSTGRES if service.name == "postgres" else IMAGE
        self._volumes = [self._volume(folder, *v) for v in service.volumes.items()]
        at = [f"--add-host={host}:{address}" for host, address in hosts.items()]
        self._id = buildah("from", "--name", f"fcnet-sweep-{name}", *at, self._image)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start its command, and wait until it is healthy.

        As an engine that is told `restart: unless-stopped`, it starts a command again
        that has ended by itself: Ray does so when the machine is too busy.
        """
        words = (*_ENTRYPOINTS.get(self._image, ()), *self.service.command)
        for _ in range(_STARTS):
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._run(words), stdout=log, stderr=log
                )
            wait_until(self._is_healthy_or_ended, 600, f"{self.name} is healthy", 1.0)
            if self._process.poll() is None:
                return
            kill_all(self.processes())
        raise RuntimeError(f"{self.name} ended: {self.log.read_text()[-2000:]}")

    def execute(self, *words: str, mounts: Sequence[str] = ()) -> str:
        """Run another command beside its own; returns what it prints."""
        done = subprocess.run(
            self._run(words, mounts), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(words)}\n{done.stderr[-4000:]}")
        return done.stdout

    def stop(self) -> tuple[float, int]:
        """Send the signal that an engine sends; returns seconds and exit code."""
        assert self._process is not None, "it does not run"
        began = time.monotonic()
        os.kill(self._command_pid(), _STOP_SIGNALS.get(self._image, signal.SIGTERM))
        code = self._process.wait(timeout=self.service.stop_grace_s)
        return time.monotonic() - began, code

    def processes(self) -> list[int]:
        """All that run on its network."""
        return [int(p) for p in _ip("netns", "pids", _namespace(self.name)).split()]

    def remove(self) -> None:
        """Kill what is left of it, and remove its files."""
        kill_all(self.processes())
        if self._process is not None:
            self._process.wait()
        buildah("rm", self._id)

    def _is_healthy_or_ended(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            return True
        check = subprocess.run(
            self._run(self.service.healthcheck), capture_output=True, check=False
        )
        return check.returncode == 0

    def _run(self, words: Sequence[str], mounts: Sequence[str] = ()) -> list[str]:
        return [
            *inside(self.name),
            *("buildah", "run", "--isolation=chroot", "--add-history=false"),
            f"--hostname={self.name}",
            # passwords among them: `ps` shows them, but they live as long as the test
            *(f"--env={name}={v}" for name, v in self.service.environment.items()),
            *(f"--volume={volume}" for volume in (*self._volumes, *mounts)),
            *(self._id, "--", *words),
        ]

    def _volume(self, folder: Path, path: str, source: str) -> str:
        if source.startswith("./"):
            return f"{HERE / source}:{path}:ro"
        made = folder / "volumes" / source
        made.mkdir(parents=True, exist_ok=True)
        # an engine gives a new volume the owner that the image's folder has
        owner = _OWNERS[self._image]
        os.chown(made, owner, owner)
        return f"{made}:{path}"

    def _command_pid(self) -> int:
        """The process that an engine would know as the container's."""
        assert self._process is not None
        family = descendants(self._process.pid)
        [start] = [p for p in family if command(p).startswith("buildah-chroot-exec")]
        return descendants(start)[0]


def _attach(name: str, link: str, address: str) -> None:
    namespace = _namespace(name)
    _ip("netns", "add", namespace)
    peer = ("type", "veth", "peer", "name", "eth0", "netns", namespace)
    _ip("link", "add", link, *peer)
    _ip("link", "set", link, "master", _BRIDGE, "up")
    for device in ("lo", "eth0"):
        _ip("-n", namespace, "link", "set", device, "up")
    _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
    _ip("-n", namespace, "route", "add", "default", "via", f"{_NETWORK}.1")


def _namespace(name: str) -> str:
    return f"fcnet-sweep-{name}"


def _ip(*words: str) -> str:
    return subprocess.run(
        ["ip", *words], check=True, capture_output=True, text=True
    ).stdout
