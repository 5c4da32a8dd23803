"""The only file that knows SQLAlchemy, which both stores stand on."""

import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from sweep.errors import StoreError, SweepFailed, first_line
from sweep.paths import sqlite_file, text_without_passwords

DatabaseError = SQLAlchemyError
AlreadyThere = IntegrityError

PATIENCE_S = 300.0  # how long a database may be away
_LONGEST_WAIT_S = 5.0  # between two tries
_IN_TIME = {"connect_timeout": 5}  # seconds; a driver of PostgreSQL takes it

_INSERTS: Mapping[str, Any] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


def is_supported(engine: Engine) -> bool:
    """Whether `upsert` knows the database: SQLite and PostgreSQL."""
    return engine.dialect.name in _INSERTS


def upsert(engine: Engine, table: Any, keys: Sequence[str]) -> Executable:
    """A statement that adds a row, or replaces the one with the same keys.

    Args:
        engine: Of the database where it will be run.
        table: The table; a row has all of its columns but one that numbers rows.
        keys: The columns of one of its unique indices.
    """
    insert = _INSERTS[engine.dialect.name](table)
    rest = {
        column.name: insert.excluded[column.name]
        for column in table.columns
        if column.name not in keys and not column.primary_key
    }
    statement: Executable = (
        insert.on_conflict_do_update(index_elements=keys, set_=rest)
        if rest
        else insert.on_conflict_do_nothing(index_elements=keys)
    )
    return statement


def transact(
    engine: Engine,
    work: Callable[[Connection], None],
    say: Callable[[str], None],
    *,
    patience_s: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Do some work in one transaction, again and again while the database is away.

    Args:
        engine: Of the database.
        work: What to do; safe to repeat, since a connection that breaks with the commit
            leaves open whether it was made.
        say: Prints a line for people, once for each time that the database is away.
        patience_s: How long to go on trying, in seconds.
        sleep: Waits so many seconds.
        clock: Seconds since any fixed moment.

    Raises:
        SweepFailed: The database refuses the work, or stays away.
    """
    wait, deadline = 0.1, clock() + patience_s
    while True:
        try:
            with engine.begin() as connection:
                work(connection)
            return
        except SQLAlchemyError as error:
            problem = f"{engine.url}: {first_line(error)}"
            if not _is_away(engine, error) or clock() + wait > deadline:
                raise SweepFailed(
                    f"{problem}; what had finished is kept, and the same command goes "
                    "on once the database takes it"
                ) from error
        if wait == 0.1:
            say(f"{problem}; trying again for {patience_s:g} s")
        sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_S)


def _is_away(engine: Engine, error: SQLAlchemyError) -> bool:
    if engine.dialect.name == "sqlite":
        busy = "locked" in str(error) or "busy" in str(error)
        return isinstance(error, OperationalError) and busy
    return isinstance(error, OperationalError | InterfaceError)


def tune_sqlite() -> None:
    """Make every SQLite connection of this process append to a log instead of syncing.

    With a write-ahead log, readers never wait for the writer, and a commit costs no
    fsync: a killed process loses nothing, a power cut at most the last commits, and the
    file stays whole (https://sqlite.org/wal.html). Measured: a third off each write.
    """
    if not event.contains(Engine, "connect", _write_ahead):
        event.listen(Engine, "connect", _write_ahead)


def check_sqlite(key: str, url: str) -> None:
    """Find out whether a SQLite store can be written, without creating it.

    Args:
        key: The YAML's key, for the message.
        url: The store's address; other kinds than SQLite are not looked at.

    Raises:
        StoreError: naming key, file and reason.
    """
    path = sqlite_file(url)
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        reason, remedy = f"there is no folder {folder}", f"mkdir -p {folder}"
    elif path.is_dir():
        reason, remedy = "it is a folder", "name a file"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        reason, remedy = "it may not be written", f"chmod u+w {path}, or name another"
    elif path.exists() and not _is_sqlite(path):
        reason, remedy = "it is not a SQLite database", "move it away, or name another"
    else:
        return
    raise StoreError(f"{key}: found {url}: {reason}; what to do: {remedy}")


def check_answers(key: str, url: str, shown: str) -> None:
    """Find out whether a database lets this process in, changing nothing.

    Args:
        key: The YAML's key, for the message.
        url: The database's address.
        shown: The address for the message, in which no password is.

    Raises:
        StoreError: naming key, address and reason.
    """
    try:
        engine = create_engine(url, poolclass=NullPool, connect_args=_IN_TIME)
        engine.connect().close()
    except (SQLAlchemyError, ImportError, TypeError) as error:
        raise StoreError(
            f"{key}: found {shown}: it does not let this in: "
            f"{text_without_passwords(first_line(error))}; what to do: look whether "
            "the database runs, and this machine may reach it"
        ) from error


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) in (b"", b"SQLite format 3\0")


def _write_ahead(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
