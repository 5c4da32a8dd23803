"""Optuna's storage: opened, and the experiment's study found in it or made."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweep.databases import DatabaseError, is_supported
from sweep.errors import StoreError, StoreUnavailable, first_line
from sweep.experiment import Experiment
from sweep.lease import Driver, Lease
from sweep.paths import text_without_passwords, without_password
from sweep.variables import filled

_EXPERIMENT = "experiment"  # attribute of the study: what its trials have in common
_ID = "id"  # attribute of the study: what tells it from others of its name
# trials with different data, settings or seeds do not compare
_COMMON: Any = {"data": True, "model": True, "solver": True, "study": {"seed", "value"}}


def open_storage(url: str) -> RDBStorage:
    """Open Optuna's storage, or create it.

    Raises:
        ConfigError: if an environment variable is missing of which the address speaks.
        StoreError: naming the address and what would do.
    """
    allowed = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
    try:
        storage = RDBStorage(filled("study.storage", url))
    except (DatabaseError, StorageInternalError, ImportError, RuntimeError) as error:
        raise StoreError(
            f"study.storage: found {without_password(url)}: Optuna cannot open it: "
            f"{text_without_passwords(first_line(error))}; allowed: {allowed}"
        ) from error
    if not is_supported(storage.engine):
        found = without_password(url)
        raise StoreError(f"study.storage: found {found}; allowed: {allowed}")
    return storage


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Tell in words for people that a storage cannot be read.

    Raises:
        StoreUnavailable: naming the address.
    """
    try:
        yield
    except (DatabaseError, StorageInternalError) as error:
        # Optuna's own words are of a commit, whatever went wrong
        problem = first_line(error.__cause__ or error)
        raise StoreUnavailable(f"{without_password(url)}: {problem}") from error


def find_study(storage: RDBStorage, name: str) -> int | None:
    """The id of the study of that name; None if there is none."""
    try:
        return storage.get_study_id_from_name(name)
    except KeyError:
        return None


def count_trials(
    storage: RDBStorage, study_id: int, states: tuple[TrialState, ...]
) -> int:
    """How many trials of a study are in one of the states."""
    table: Any = models.TrialModel.__table__
    wanted = (table.c.study_id == study_id) & table.c.state.in_(states)
    # Optuna's own count reads every trial whole
    query = table.select().with_only_columns(table.c.trial_id).where(wanted)
    with storage.engine.connect() as connection:
        return len(connection.execute(query).all())


def study_key(storage: RDBStorage, study_id: int) -> str:
    """What tells a study from others of its name, here and in MLflow."""
    return str(storage.get_study_user_attrs(study_id).get(_ID, study_id))


def find_or_create(storage: RDBStorage, experiment: Experiment) -> int:
    """The id of the experiment's study, which is made if it is not there.

    Raises:
        StoreError: if there is one that was made with other settings.
    """
    common = json.loads(experiment.model_dump_json(include=_COMMON))
    study_id = find_study(storage, experiment.name)
    if study_id is None:
        maximize = [StudyDirection.MAXIMIZE]
        study_id = storage.create_new_study(maximize, experiment.name)
    stored = storage.get_study_user_attrs(study_id).get(_EXPERIMENT)
    if stored is None and not storage.get_n_trials(study_id):
        # new, or made by a driver that was killed just then
        storage.set_study_user_attr(study_id, _ID, secrets.token_hex(4))
        storage.set_study_user_attr(study_id, _EXPERIMENT, common)
        stored = common
    if stored != common:
        raise StoreError(
            f"study.storage: {without_password(experiment.study.storage)} holds a "
            f"study named {experiment.name!r} that was made with other settings: "
            f"{_differences(stored or {}, common)}; what to do: put them back, give "
            "this experiment another name, or start the next study of this name with "
            "--fresh, which keeps the old one"
        )
    return study_id


def set_aside(
    storage: RDBStorage, name: str, driver: Driver, say: Callable[[str], None]
) -> str | None:
    """Give a study the first free name of `name@1`, `name@2`, ...

    Returns:
        The study's key; None if there is no study of that name.

    Raises:
        StudyBusy: if another driver runs it.
    """
    study_id = find_study(storage, name)
    if study_id is None:
        return None
    lease = Lease(storage, study_id, driver)
    lease.acquire(say)
    taken = {study.study_name for study in storage.get_all_studies()}
    number = next(n for n in range(1, len(taken) + 2) if f"{name}@{n}" not in taken)
    table: Any = models.StudyModel.__table__
    with storage.engine.begin() as connection:
        own = table.c.study_id == study_id
        change = table.update().where(own).values(study_name=f"{name}@{number}")
        connection.execute(change)
    lease.release()
    say(
        f"the former study is kept as {name}@{number}; leave --fresh out to go on with "
        "the new one"
    )
    return study_key(storage, study_id)


def _differences(stored: dict[str, Any], wanted: dict[str, Any]) -> str:
    return ", ".join(
        f"{section}.{key} was {stored.get(section, {}).get(key)} and is {value}"
        for section, values in wanted.items()
        for key, value in values.items()
        if stored.get(section, {}).get(key) != value
    )
