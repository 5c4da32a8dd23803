"""Real servers for tests: PostgreSQL and MLflow, each of this test run alone.

Both listen on a port of 127.0.0.1 that stays theirs when they are stopped or killed and
started again, and can be frozen, as a machine that does not answer.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NoReturn

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from processes import descendants, free_port, kill_all, send, wait_until

# set where a missing server is to fail the tests that want it, instead of skipping them
REQUIRED = "SWEEP_TEST_SERVERS"

_USER = "sweep"
_STOPS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
StopMode = Literal["smart", "fast", "immediate"]


class _Server:
    """A server's process with all its children; how it starts is its subclass's."""

    def __init__(self, folder: Path, owner: str | None) -> None:
        self.port = free_port()
        self._owner = owner
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def _spawn(self, arguments: list[str], at_end: str, **environment: str) -> None:
        """Start the process; it gets the signal `at_end` if this one is killed."""
        assert self._process is None, "it runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", at_end, *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_as_user(self._owner),
            )
        try:
            wait_until(self._answers_or_ended, 90.0, "the server answers")
        except TimeoutError:
            self.kill()
            raise
        if self._process.poll() is not None:
            raise RuntimeError(f"the server ended: {self._log.read_text()[-2000:]}")

    def answers(self) -> bool:
        """Whether the server takes requests."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kill every process of the server at once, as a power cut does."""
        if self._process is not None:
            kill_all(self._pids())
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop the server's processes where they are; connections stay open."""
        send(signal.SIGSTOP, self._pids())

    def thaw(self) -> None:
        """Let frozen processes go on."""
        send(signal.SIGCONT, self._pids())

    def _end(self, number: signal.Signals) -> None:
        """Ask the server to end, and see that nothing of it is left."""
        if self._process is not None:
            pids = self._pids()
            self._process.send_signal(number)
            self._process.wait(timeout=60)
            self._process = None
            kill_all(pids)

    def _pids(self) -> list[int]:
        assert self._process is not None, "it does not run"
        return [self._process.pid, *descendants(self._process.pid)]

    def _answers_or_ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None or self.answers()


class Postgres(_Server):
    """A PostgreSQL server made of the system's programs, with a random password."""

    def __init__(self) -> None:
        """Make its files in a temporary folder, and start it."""
        self._programs = _find_postgres()
        # not under pytest's folders, which nobody but their owner may enter
        self._folder = Path(tempfile.mkdtemp(prefix="sweep-postgres-"))
        # PostgreSQL refuses to run as root
        super().__init__(self._folder, "nobody" if os.geteuid() == 0 else None)
        self._password = secrets.token_hex(16)
        self._initialise()
        self.start()

    def url(self, database: str) -> str:
        """A database's address, for SQLAlchemy."""
        at = f"{_USER}:{self._password}@127.0.0.1:{self.port}"
        return f"postgresql+psycopg://{at}/{database}"

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database, empty or a copy of another one, and return its address."""
        with self._connect() as connection:
            connection.autocommit = True
            query = SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(query.format(Identifier(name), Identifier(template)))
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = "listen_addresses=127.0.0.1", "unix_socket_directories="
        # it need not survive a power cut, so it does not wait for the disk
        arguments = [str(self._programs / "postgres"), "-F", "-D", str(self._data)]
        for setting in (*settings, f"port={self.port}", "shared_buffers=16MB"):
            arguments += ["-c", setting]
        self._spawn(arguments, "INT")

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop it in one of PostgreSQL's own three ways."""
        self._end(_STOPS[mode])

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop it, which closes every connection, and start it again."""
        self.stop(mode)
        self.start()

    def answers(self) -> bool:
        """Whether it lets a client in."""
        with suppress(psycopg.OperationalError):
            self._connect().close()
            return True
        return False

    def remove(self) -> None:
        """Kill it, and remove its files."""
        self.kill()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        if self._owner is not None:
            for path in (self._folder, password):
                shutil.chown(path, self._owner)
        subprocess.run(
            [
                str(self._programs / "initdb"),
                *("--pgdata", str(self._data), "--username", _USER),
                *("--auth=scram-sha-256", f"--pwfile={password}"),
                *("--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            cwd=self._folder,
            check=True,
            capture_output=True,
            **_as_user(self._owner),
        )
        password.unlink()

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=_USER,
            password=self._password,
            dbname="postgres",
            connect_timeout=5,
        )


class MlflowServer(_Server):
    """A tracking server that also takes the artifacts, so that clients need no disk."""

    def __init__(self, folder: Path, backend: str) -> None:
        """Start it.

        Args:
            folder: Of its artifacts and its log.
            backend: The address of the database that it keeps runs in.
        """
        super().__init__(folder, owner=None)
        self._folder = folder
        self._backend = backend
        self.start()

    @property
    def uri(self) -> str:
        """Its address, for MLflow's clients."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "backend-store-uri": self._backend,
            "artifacts-destination": str(self._folder / "artifacts"),
            "host": "127.0.0.1",
            "port": str(self.port),
            "workers": "1",
        }
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        self._spawn(
            [sys.executable, "-m", "mlflow", "server", *words],
            "TERM",
            MLFLOW_DISABLE_TELEMETRY="true",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        )

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self._end(signal.SIGTERM)

    def answers(self) -> bool:
        """Whether it says that it is well."""
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
            return True
        return False


def _find_postgres() -> Path:
    """The folder of the newest PostgreSQL server's programs on this machine."""
    homes = Path("/usr/lib/postgresql").glob("*/bin/postgres")  # as Debian has it
    newest = sorted(homes, key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("postgres")
    if not newest and on_path is None:
        missing("no PostgreSQL server here; what to do: apt-get install postgresql")
    return (newest[-1] if newest else Path(str(on_path)).resolve()).parent


def missing(reason: str) -> NoReturn:
    """Skip a test that wants what this machine lacks; fail it where that is required.

    Args:
        reason: What is missing and what to do.
    """
    if os.environ.get(REQUIRED):
        pytest.fail(f"{reason}, or unset {REQUIRED}")
    pytest.skip(reason)


def _as_user(owner: str | None) -> dict[str, Any]:
    if owner is None:
        return {}
    group = pwd.getpwnam(owner).pw_gid
    return {"user": owner, "group": group, "extra_groups": []}
