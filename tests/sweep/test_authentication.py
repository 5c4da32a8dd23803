"""How this process asks a Ray cluster in, and what is left of that."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationMode,
    AuthenticationTokenLoader,
    get_authentication_mode,
)
from ray.exceptions import AuthenticationError

from sweep import authentication, cluster
from sweep.cluster import connect, disconnect, look_at
from sweep.errors import ClusterError

OWN = "a" * 64  # the user's token, in ~/.ray/auth_token


def as_ray_has_it() -> tuple[bool, str]:
    """Whether Ray's own part in C++ sends a token, and that token."""
    token = AuthenticationTokenLoader.instance().get_raw_token(ignore_auth_mode=True)
    return get_authentication_mode() == AuthenticationMode.TOKEN, token


def in_environment() -> dict[str, str]:
    return {key: text for key, text in os.environ.items() if key.startswith("RAY_AUTH")}


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user with a token in the file where Ray looks for it, and Ray knows of it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(OWN)
    authentication._read_environment()
    yield
    monkeypatch.undo()
    authentication._read_environment()


@pytest.fixture
def address() -> Iterator[str]:
    """Where something listens; a stand-in says what it wants."""
    with socket.create_server(("127.0.0.2", 0)) as server:
        yield f"127.0.0.2:{server.getsockname()[1]}"


def stand_in(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    """Have a head answer that wants this token; None if it lets everybody in."""

    class Head:
        def __init__(self, address: str) -> None:
            del address

        def get_all_node_info(self, timeout: float) -> dict[Any, Any]:
            del timeout
            sends, sent = as_ray_has_it()
            if sends != (token is not None) or (sends and sent != token):
                raise AuthenticationError("not with that")
            return {}

    monkeypatch.setattr(authentication, "GcsClient", Head)
    monkeypatch.setattr(cluster, "GcsClient", Head)
    cluster._client.cache_clear()


@pytest.mark.parametrize(
    ("token", "mode", "message"),
    [
        (None, "token", "runs without authentication"),
        ("f" * 64, "token", "another token than that in ~/.ray/auth_token"),
        ("f" * 64, "disabled", "is `disabled` here"),
    ],
)
def test_a_cluster_that_is_refused_is_refused_again(
    token: str | None,
    mode: str,
    message: str,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To ask it has left nothing behind, in the environment or in Ray."""
    stand_in(monkeypatch, token)
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    authentication._read_environment()
    before = in_environment(), as_ray_has_it()
    for ask in (connect, look_at, connect):
        with pytest.raises(ClusterError, match=message):
            ask(address)
        assert (in_environment(), as_ray_has_it()) == before


def test_looking_at_a_cluster_leaves_nothing_behind(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it lets this process in."""
    stand_in(monkeypatch, OWN)
    before = in_environment(), as_ray_has_it()

    assert look_at(address) == ()
    assert (in_environment(), as_ray_has_it()) == before


def test_a_private_cluster_has_a_token_of_its_own_while_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then Ray sends the user's again."""
    before = in_environment(), as_ray_has_it()
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(cluster, "look", lambda: ())
    connect("local")
    sends, token = as_ray_has_it()

    assert sends
    assert token not in (OWN, "")
    disconnect()
    assert (in_environment(), as_ray_has_it()) == before


def test_a_private_cluster_that_does_not_start_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever kept it from starting."""

    def fail(**_: Any) -> None:
        raise RuntimeError("no room on /dev/shm")

    before = in_environment(), as_ray_has_it()
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(ClusterError, match="no room on /dev/shm"):
        connect("local")

    assert (in_environment(), as_ray_has_it()) == before
