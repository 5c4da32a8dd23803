"""Who runs a study: one driver at a time, whose name stands in the study's database.

Optuna's heartbeat is for `Study.optimize` alone. Here each transaction of the driver
makes sure that its name still stands there, so that one that was believed dead can do
no harm when it comes back.
"""

import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import psutil
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

from sweep.databases import AlreadyThere, DatabaseError, upsert
from sweep.errors import LeaseLost, StudyBusy

DEAD_AFTER_S = 30.0  # how long a driver elsewhere may stand still
_BEAT_S = 5.0
_DRIVER, _BEAT = "driver", "driver_beat"  # attributes of the study
_CLOCK_S = 2.0  # how far two readings of when a process began may differ


@dataclass(frozen=True)
class Driver:
    """The process that runs a study.

    Attributes:
        host: Name of its machine.
        pid: Its number there.
        began: When the process began, in seconds since 1970 by that machine's clock.
        since: When it took the study, for people.
        token: Tells it from every other driver.
    """

    host: str
    pid: int
    began: float
    since: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class _Held(NamedTuple):
    """The driver that stands in a study, and its beat, as they are stored."""

    driver: str | None
    beat: str | None


@dataclass(frozen=True)
class Holder:
    """Whose name stands in a study.

    Attributes:
        driver: Whose it is.
        beat: Changes while the driver lives; None before the first one.
        is_here: Whether it is a process of this machine.
        is_dead: Whether that process has ended; of other machines nobody can tell.
    """

    driver: Driver
    beat: str | None
    is_here: bool
    is_dead: bool


def this_driver() -> Driver:
    """The process that asks."""
    return Driver(
        host=socket.gethostname(),
        pid=os.getpid(),
        began=psutil.Process().create_time(),
        since=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        token=secrets.token_hex(8),
    )


class Lease:
    """The right of one driver to write a study; see `acquire`."""

    def __init__(self, storage: RDBStorage, study_id: int, driver: Driver) -> None:
        """Ask for nothing yet.

        Args:
            storage: Where the study is.
            study_id: The study.
            driver: Who wants to run it.
        """
        self._engine, self._study_id = storage.engine, study_id
        self._driver, self._value = driver, json.dumps(asdict(driver))
        model: Any = models.StudyUserAttributeModel
        self._table = model.__table__
        self._upsert = upsert(self._engine, self._table, ("study_id", "key"))
        self._beats, self._last_beat = 0, 0.0

    def acquire(
        self,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the study, from a dead driver if need be.

        A driver of this machine is dead if there is no such process. One elsewhere is
        dead if its beat stands still for DEAD_AFTER_S, by the clock here alone.

        Args:
            say: Prints a line for people.
            sleep: Waits so many seconds.
            clock: Seconds since any fixed moment.

        Raises:
            StudyBusy: Another driver runs it.
        """
        first = self._read()
        if first.driver is not None and not self._is_dead(first.driver):
            driver = Driver(**json.loads(first.driver))
            if driver.host == self._driver.host:
                raise _busy(driver)
            say(
                f"the study was run by {driver}; looking for {DEAD_AFTER_S:g} s at most"
                " whether it still is"
            )
            deadline = clock() + DEAD_AFTER_S
            while clock() < deadline:
                if self._read() != first:
                    raise _busy(driver)
                sleep(1.0)
        if not self._replace(first.driver):
            raise StudyBusy("another driver has taken the study just now")

    def look(self) -> Holder | None:
        """Whose name stands in the study; None if it is nobody's."""
        held = self._read()
        if held.driver is None:
            return None
        driver = Driver(**json.loads(held.driver))
        is_here, is_dead = driver.host == self._driver.host, self._is_dead(held.driver)
        return Holder(driver, held.beat, is_here, is_dead)

    def hold(self, connection: Any) -> None:
        """Make sure, as part of a transaction, that this driver runs the study.

        Raises:
            LeaseLost: It does not any more; the transaction must not be committed.
        """
        mine = self._is(_DRIVER) & (self._table.c.value_json == self._value)
        # an update, so that nobody can take over before the transaction's end
        touch = self._table.update().where(mine).values(value_json=self._value)
        if connection.execute(touch).rowcount != 1:
            raise LeaseLost(
                "another driver has taken the study over, since this one stood still "
                f"for more than {DEAD_AFTER_S:g} s; it goes on there"
            )

    def is_due(self, now: float) -> bool:
        """Whether it is time to `beat`.

        Args:
            now: Seconds since any fixed moment.
        """
        return now - self._last_beat >= _BEAT_S

    def beat(self, connection: Any, now: float) -> None:
        """Show drivers elsewhere that this one lives."""
        self._beats, self._last_beat = self._beats + 1, now
        connection.execute(self._upsert, self._row(_BEAT, str(self._beats)))

    def release(self) -> None:
        """Leave the study to whoever comes."""
        mine = self._is(_DRIVER) & (self._table.c.value_json == self._value)
        # where the database is away, others will find that this driver is dead
        with suppress(DatabaseError), self._engine.begin() as connection:
            connection.execute(self._table.delete().where(mine))

    def _is(self, key: str) -> Any:
        return (self._table.c.study_id == self._study_id) & (self._table.c.key == key)

    def _row(self, key: str, value: str) -> dict[str, Any]:
        return {"study_id": self._study_id, "key": key, "value_json": value}

    def _read(self) -> _Held:
        columns = self._table.c
        query = self._table.select().where(columns.study_id == self._study_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(columns.key.in_((_DRIVER, _BEAT))))
            values = {row.key: row.value_json for row in rows}
        return _Held(values.get(_DRIVER), values.get(_BEAT))

    def _replace(self, old: str | None) -> bool:
        """Put this driver in the place of the old one, if it still stands there."""
        with self._engine.begin() as connection:
            if old is None:
                row = self._row(_DRIVER, self._value)
                try:
                    connection.execute(self._table.insert(), row)
                except AlreadyThere:
                    return False
                return True
            its = self._is(_DRIVER) & (self._table.c.value_json == old)
            change = self._table.update().where(its).values(value_json=self._value)
            return bool(connection.execute(change).rowcount == 1)

    def _is_dead(self, value: str) -> bool:
        driver = Driver(**json.loads(value))
        if driver.host != self._driver.host:
            return False
        if driver.pid == self._driver.pid:
            return True  # an earlier opening in this very process, which ends with this
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(driver.pid)
            is_same = abs(process.create_time() - driver.began) < _CLOCK_S
            return not is_same or process.status() == psutil.STATUS_ZOMBIE
        return True


def _busy(driver: Driver) -> StudyBusy:
    return StudyBusy(
        f"the study is run by another driver: {driver}; what to do: wait for it, or "
        "stop it: the same command takes over then"
    )
