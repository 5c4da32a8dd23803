"""Joining a Ray cluster, or starting a private one; with workers.py, knows Ray."""

import os
import platform
import secrets
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address, find_node_ids
from ray._raylet import Config, GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError

from sweep.errors import ClusterError, first_line
from sweep.placement import Node
from sweep.ray_token import find_token

_ANSWER_S = 5.0  # how long a cluster may take for an answer
_STARTS = 3  # of a private cluster
_MODE = "RAY_AUTH_MODE"
_SETTINGS = "RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"


def connect(address: str) -> tuple[Node, ...]:
    """Join a Ray cluster, or start a private one of this machine alone.

    Args:
        address: `local`, `auto` or `host:port`.

    Returns:
        The nodes there are.

    Raises:
        ClusterError: if there is no cluster at that address, or it does not let this
            process in.
    """
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        # nobody else on this machine may command the workers
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        _set_mode("token")
        options |= {"include_dashboard": False, "num_cpus": local_cpus()}
        found = address
    else:
        found = _find(address)
        _check_is_here(address, look(found))
    with _no_cluster(address):
        _join(found, options)
    return look()


def _join(address: str, options: dict[str, Any]) -> None:
    """Join the cluster; a private one is started, in another try if need be.

    Ray gives its own processes 30 s to start, whatever else the machine has to do.
    """
    for tries_left in reversed(range(_STARTS if address == "local" else 1)):
        try:
            ray.init(address=address, **options)
            return
        except Exception as error:
            if not tries_left or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


def look_at(address: str) -> tuple[Node, ...]:
    """The nodes of a cluster, which notices nothing of it.

    Args:
        address: `auto` or `host:port`.

    Raises:
        ClusterError: see `connect`.
    """
    return look(_find(address))


def look(address: str | None = None) -> tuple[Node, ...]:
    """The living nodes of a cluster, in the order of their names.

    Args:
        address: Where it is; by default the one that this process has joined.

    Raises:
        ClusterError: if it does not answer.
    """
    if address is None:
        address = ray.get_runtime_context().gcs_address
    with _no_cluster(address):
        infos = _client(address).get_all_node_info(timeout=_ANSWER_S).values()
    alive = [info for info in infos if info.state == info.ALIVE]
    hosts = Counter(info.node_manager_hostname for info in alive)
    nodes = (_node(info, hosts[info.node_manager_hostname] == 1) for info in alive)
    return tuple(sorted(nodes, key=lambda node: node.name))


@lru_cache(maxsize=1)
def _client(address: str) -> Any:
    """A connection to a cluster's head, kept for the next look."""
    return GcsClient(address=address)


def _node(info: Any, is_alone: bool) -> Node:
    """A node as Ray has it; `is_alone` if its machine has no other."""
    ip, resources = info.node_manager_address, info.resources_total
    name = info.node_name
    if name == ip and is_alone:  # nobody named it: so Ray did
        name = info.node_manager_hostname
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    return Node(info.node_id.hex(), name, ip, cpus, gpus)


def _find(address: str) -> str:
    """Where a cluster is that lets this process in, as host:port."""
    with _no_cluster(address):
        found = canonicalize_bootstrap_address(address)
        host, _, port = str(found).rpartition(":")
        # ray.init would go on trying for a minute
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    _check_token(address, str(found), os.environ.get(_MODE) == "disabled")
    return str(found)


def _check_token(address: str, found: str, may_be_open: bool) -> None:
    """Make sure that the cluster lets this process in, and strangers not.

    Ray itself would hang at a wrong token, and die of a missing one.
    """
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
    with _no_cluster(address), _silence():
        try:
            GcsClient(address=address).get_all_node_info(timeout=_ANSWER_S)
        except AuthenticationError:
            return False
    return True


def _set_mode(mode: str) -> None:
    """Set how Ray authenticates, in this process and those that it starts."""
    os.environ[_MODE] = mode
    Config.initialize("")  # Ray has read it when it was imported


def _check_is_here(address: str, nodes: tuple[Node, ...]) -> None:
    # ray.init would look for a node for a minute
    here: frozenset[str] = find_node_ids()  # type: ignore[no-untyped-call]
    if not here & {node.id for node in nodes}:
        raise ClusterError(
            f"ray.address: {platform.node()} is no node of the cluster at {address}; "
            "run this on its head, or submit it there"
        )


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


@contextmanager
def _no_cluster(address: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Ray's own class for a node that is slow to start
        raise ClusterError(
            f"ray.address: found {address}: {first_line(error)}; allowed: local, auto "
            "or host:port of a running cluster"
        ) from error


def is_connected() -> bool:
    """Whether this process has joined a cluster."""
    return bool(ray.is_initialized())


def local_cpus() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def this_node(gpus: int) -> Node:
    """This machine, as a private cluster would have it.

    Args:
        gpus: How many it has.
    """
    return Node("", platform.node(), "127.0.0.1", local_cpus(), gpus)


def disconnect() -> None:
    """Leave the cluster; a private one ends."""
    ray.shutdown()
