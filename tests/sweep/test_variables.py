"""Names of environment variables in the stores' addresses."""

from pathlib import Path

import pytest

from support import make_experiment
from sweep.errors import ConfigError
from sweep.paths import without_password
from sweep.variables import filled

ADDRESS = "postgresql+psycopg://sweep:${OPTUNA_PASSWORD}@${DB_HOST}/optuna"


def test_a_name_gives_way_to_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is quoted, so that it may have any character; the rest is not."""
    monkeypatch.setenv("OPTUNA_PASSWORD", "a/b@c:d %")
    monkeypatch.setenv("DB_HOST", "db:5432")

    assert filled("study.storage", ADDRESS) == (
        "postgresql+psycopg://sweep:a%2Fb%40c%3Ad%20%25@db:5432/optuna"
    )
    monkeypatch.setenv("WHOLE", "http://host:5000/a")
    assert filled("mlflow.tracking_uri", "${WHOLE}") == "http://host:5000/a"
    assert filled("study.storage", "sqlite:///optuna.db") == "sqlite:///optuna.db"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key, and how to set it."""
    monkeypatch.delenv("OPTUNA_PASSWORD", raising=False)
    monkeypatch.setenv("DB_HOST", "db")
    with pytest.raises(ConfigError, match=r"study.storage: found \$\{OPTUNA_PASSWORD"):
        filled("study.storage", ADDRESS)


def test_only_the_password_itself_is_hidden() -> None:
    """In an address and in the midst of a message; a variable's name is no secret."""
    assert without_password(ADDRESS) == ADDRESS
    assert without_password("http://me:secret@host:5000") == "http://me:***@host:5000"
    said = "API request to http://me:secret@host:5000/api failed for a@b"
    assert "secret" not in without_password(said)
    assert without_password("x://h/d?user=a&password=b&c=d") == (
        "x://h/d?user=a&password=***&c=d"
    )
    harmless = "http://mlflow:5000: refused; ask somebody@example.org"
    assert without_password(harmless) == harmless


def test_the_written_experiment_keeps_the_names(tmp_path: Path) -> None:
    """What is put into MLflow reads back as what was run."""
    experiment = make_experiment(tmp_path, f"study.storage={ADDRESS}")

    assert ADDRESS in experiment.to_yaml()
