"""Names of environment variables in the stores' addresses."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from support import make_experiment
from sweep.errors import ConfigError
from sweep.paths import text_without_passwords, without_password
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


@pytest.mark.parametrize(
    "password", ["hush", "a/b", "a b", "a?b", "a:b", "100%", "a%40b", "/?&:% "]
)
def test_a_password_is_hidden_whatever_sqlalchemy_takes_for_one(password: str) -> None:
    """All of it and nothing else, which SQLAlchemy then reads as what it is."""
    address = f"postgresql+psycopg://me:{password}@db:5432/optuna?sslmode=require"
    hidden = without_password(address)
    assert hidden == "postgresql+psycopg://me:***@db:5432/optuna?sslmode=require"

    read, shown = make_url(address), make_url(hidden)
    assert read.password
    assert read.set(password="***") == shown


def test_a_password_with_an_at_is_hidden_to_its_end() -> None:
    """SQLAlchemy would take the rest for a host, and name it in its message."""
    for address in ("postgresql://me:a@b/c@db/optuna", "http://me:a@b c@db/optuna"):
        hidden = without_password(address)
        assert hidden == f"{address.partition(':a')[0]}:***@db/optuna"


def test_a_password_in_the_query_is_hidden() -> None:
    """To the next setting."""
    assert without_password("x://h/d?user=a&password=b /c&d=e") == (
        "x://h/d?user=a&password=***&d=e"
    )


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS,
        "x://h/d?password=${HUSH}&c=d",
        "sqlite:////shared/a:b@c.db",
        "http://mlflow:5000/of/somebody@example.org",
        "postgresql+psycopg://me@db:5432/optuna",
    ],
)
def test_an_address_without_a_password_is_shown_as_it_is(address: str) -> None:
    """The name of a variable is no secret, and not everything before an @ is one."""
    assert without_password(address) == address


def test_passwords_are_hidden_in_the_midst_of_a_message() -> None:
    """What else has a colon or an @ is left."""
    said = "API request to http://me:secret@host:5000/api failed for a@b"
    assert text_without_passwords(said) == said.replace("secret", "***")
    said = "no x://h/d?password=secret there"
    assert text_without_passwords(said) == said.replace("secret", "***")
    harmless = "http://mlflow:5000: refused; ask somebody@example.org"
    assert text_without_passwords(harmless) == harmless


def test_the_written_experiment_keeps_the_names(tmp_path: Path) -> None:
    """What is put into MLflow reads back as what was run."""
    experiment = make_experiment(tmp_path, f"study.storage={ADDRESS}")

    assert ADDRESS in experiment.to_yaml()


def test_the_written_experiment_has_no_password(tmp_path: Path) -> None:
    """Whatever characters are in it."""
    address = "postgresql+psycopg://me:a/b c@db/optuna"
    written = make_experiment(tmp_path, f"study.storage={address}").to_yaml()

    assert "postgresql+psycopg://me:***@db/optuna" in written
    assert "b c" not in written
