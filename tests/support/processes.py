"""Processes as Linux shows them under /proc, and ports of this machine."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(
    is_so: Callable[[], bool], timeout_s: float, what: str, pause_s: float = 0.05
) -> None:
    """Ask again and again.

    Raises:
        TimeoutError: with `what` did not come true in time.
    """
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in {timeout_s:g} s: {what}")
        time.sleep(pause_s)


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on, while it lives."""
    parents = {child: _stat(child)[1] for child in _all() if is_alive(child)}
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == str(known)]
    return found[1:]


def in_session(session: int) -> list[int]:
    """Living processes of a session."""
    return [p for p in _all() if _stat(p)[3] == str(session) and is_alive(p)]


def command(pid: int) -> str:
    """A process's command line, as `ps` would print it; empty if it has gone."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode(errors="replace").strip()
    return ""


def is_alive(pid: int) -> bool:
    """Whether a process is there, and more than an exit code waiting to be read."""
    return _stat(pid)[0] not in {"", "Z", "X"}


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes, and wait until they have gone."""
    doomed = list(pids)
    send(signal.SIGKILL, doomed)
    wait_until(lambda: not any(map(is_alive, doomed)), 60.0, "killed processes end")


def _all() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """State, parent, group and session of a process; empty words if it has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return [""] * 4
    # the name, in brackets, may hold anything
    return text.rpartition(")")[2].split()[:4]
