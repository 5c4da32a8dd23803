"""Whether a Ray cluster and this process let each other in; with cluster.py, knows Ray.

Ray reads how it authenticates from the environment, so to ask is to change that.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationTokenLoader,
    Config,
    GcsClient,
)
from ray.exceptions import AuthenticationError

from sweep.errors import ClusterError
from sweep.ray_token import find_token

ANSWER_S = 5.0  # how long a cluster may take for an answer
_MODE, _TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
_SETTINGS = f"{_TOKEN}, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"


@contextmanager
def authentication_kept() -> Iterator[None]:
    """Have the environment again in the end that the user has given Ray."""
    kept = {name: os.environ.get(name) for name in (_MODE, _TOKEN)}
    try:
        yield
    finally:
        for name, text in kept.items():
            os.environ.pop(name, None)
            if text is not None:
                os.environ[name] = text
        _read_environment()


def lock_others_out() -> None:
    """Have a token that nobody else on this machine knows, if the user has none."""
    os.environ.setdefault(_TOKEN, secrets.token_hex(32))
    _set_mode("token")


def check_token(address: str, found: str) -> None:
    """Make sure that a cluster lets this process in, and strangers not.

    Ray itself would hang at a wrong token, and die of a missing one.

    Args:
        address: As the user has it.
        found: As host:port.

    Raises:
        ClusterError: naming what is to be set, and where.
    """
    may_be_open = os.environ.get(_MODE) == "disabled"
    if _lets_in(found, "disabled"):
        if not may_be_open:
            raise ClusterError(
                f"ray.address: the cluster at {address} runs without authentication, "
                "so that everybody who reaches it commands it; start it with "
                f"{_MODE}=token, or set {_MODE}=disabled here to join it all the same"
            )
        return
    if may_be_open:
        raise ClusterError(
            f"ray.address: the cluster at {address} wants its token, but {_MODE} is "
            f"`disabled` here; set it to `token`, and the token in {_SETTINGS}"
        )
    source = find_token(os.environ)
    if source is None:
        raise ClusterError(
            f"ray.address: the cluster at {address} wants its token, and there is none "
            f"here; set it in {_SETTINGS}"
        )
    if not _lets_in(found, "token"):
        raise ClusterError(
            f"ray.address: the cluster at {address} wants another token than that in "
            f"{source}; allowed: the one that its head was started with"
        )


def _lets_in(address: str, mode: str) -> bool:
    _set_mode(mode)
    with _silence():
        try:
            GcsClient(address=address).get_all_node_info(timeout=ANSWER_S)
        except AuthenticationError:
            return False
    return True


def _set_mode(mode: str) -> None:
    """Set how Ray authenticates, in this process and those that it starts."""
    os.environ[_MODE] = mode
    _read_environment()


def _read_environment() -> None:
    Config.initialize("")  # Ray has read the mode when it was imported
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _silence() -> Iterator[None]:
    """Throw away what Ray's C++ part writes to standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
