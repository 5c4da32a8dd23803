"""Optuna's storage: opened, and the experiment's study found in it or made."""

import json
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from sweep.databases import DatabaseError, is_supported
from sweep.errors import StoreError, first_line
from sweep.experiment import Experiment

_EXPERIMENT = "experiment"  # attribute of the study: what its trials have in common
# trials with different data, settings or seeds do not compare
_COMMON: Any = {"data": True, "model": True, "solver": True, "study": {"seed", "value"}}


def open_storage(url: str) -> RDBStorage:
    """Open Optuna's storage, or create it.

    Raises:
        StoreError: naming the address and what would do.
    """
    allowed = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
    try:
        storage = RDBStorage(url)
    except (DatabaseError, StorageInternalError, ImportError, RuntimeError) as error:
        raise StoreError(
            f"study.storage: found {url}: Optuna cannot open it: {first_line(error)}; "
            f"allowed: {allowed}"
        ) from error
    if not is_supported(storage.engine):
        raise StoreError(f"study.storage: found {url}; allowed: {allowed}")
    return storage


def find_or_create(storage: RDBStorage, experiment: Experiment) -> int:
    """The id of the experiment's study, which is made if it is not there.

    Raises:
        StoreError: if there is one that was made with other settings.
    """
    common = json.loads(experiment.model_dump_json(include=_COMMON))
    try:
        study_id = storage.get_study_id_from_name(experiment.name)
    except KeyError:
        maximize = [StudyDirection.MAXIMIZE]
        study_id = storage.create_new_study(maximize, experiment.name)
        storage.set_study_user_attr(study_id, _EXPERIMENT, common)
    stored = storage.get_study_user_attrs(study_id).get(_EXPERIMENT)
    if stored != common:
        raise StoreError(
            f"study.storage: {experiment.study.storage} holds a study named "
            f"{experiment.name!r} that was made with other settings: "
            f"{_differences(stored or {}, common)}; what to do: put them back, or give "
            "this experiment another name"
        )
    return study_id


def _differences(stored: dict[str, Any], wanted: dict[str, Any]) -> str:
    return ", ".join(
        f"{section}.{key} was {stored.get(section, {}).get(key)} and is {value}"
        for section, values in wanted.items()
        for key, value in values.items()
        if stored.get(section, {}).get(key) != value
    )
