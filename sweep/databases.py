"""The only file that knows SQLAlchemy, which both stores stand on."""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from sweep.errors import StoreError
from sweep.paths import sqlite_file

DatabaseError = SQLAlchemyError

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


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) in (b"", b"SQLite format 3\0")


def _write_ahead(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
