"""MLflow's server for one person: on 127.0.0.1, and gone with the command."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from sweep.errors import StoreError, UsageError
from sweep.paths import without_password

_HOST = "127.0.0.1"
_PYTHON = (sys.executable, "-m")
_STARTS_S = 120.0  # longest time to the first answer
# a proxy knows nothing of this machine
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        address: Where, with a slash at its end.
        process: The process that it ends with; see tied.py.
    """

    address: str
    process: subprocess.Popen[bytes]


def choose_port(wanted: int | None) -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Args:
        wanted: That one and no other; None for any.

    Raises:
        UsageError: if somebody listens on the port that is wanted.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, wanted or 0))
        except OSError as error:
            raise UsageError(
                f"--port: found {wanted}: {error.strerror}; allowed: a port that "
                "nobody uses; without --port one is found"
            ) from None
        return int(listener.getsockname()[1])


@contextmanager
def serving(tracking_uri: str, port: int) -> Iterator[Server]:
    """Have MLflow's server run; all of its processes end then, or with this one.

    Args:
        tracking_uri: The address of the database that it shows.
        port: A port of 127.0.0.1.

    Raises:
        StoreError: if it does not start.
    """
    with tempfile.TemporaryFile() as log:
        process = _start(tracking_uri, port, log)
        try:
            server = Server(f"http://{_HOST}:{port}/", process)
            _wait_until_it_answers(server, tracking_uri, log)
            yield server
        finally:
            process.communicate()  # closes its standard input, and waits for its end


def _start(tracking_uri: str, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    options = ("--host", _HOST, "--port", str(port), "--workers", "1")
    environment = {
        # not among the options, which every user of the machine can read
        "MLFLOW_BACKEND_STORE_URI": tracking_uri,
        # else it starts processes that wait for work we do not have
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return subprocess.Popen(
        [*_PYTHON, "sweep.ui.tied", *_PYTHON, "mlflow", "server", *options],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,  # a group of its own, which Ctrl-C does not reach
    )


def _wait_until_it_answers(server: Server, tracking_uri: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _STARTS_S
    while not _answers(server.address):
        has_ended = server.process.poll() is not None
        if has_ended or time.monotonic() > deadline:
            log.seek(0)
            said = log.read().decode(errors="replace").strip()
            reason = said.replace(tracking_uri, without_password(tracking_uri))
            raise StoreError(
                f"mlflow.tracking_uri: found {without_password(tracking_uri)}: "
                f"MLflow's server does not start; it said:\n{reason[-2000:]}"
            )
        time.sleep(0.1)


def _answers(address: str) -> bool:
    with suppress(OSError), _open(f"{address}health", timeout=5):
        return True
    return False
