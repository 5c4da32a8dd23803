"""Joining a Ray cluster, or starting a private one; with workers.py, knows Ray."""

import os
import platform
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address, find_node_ids
from ray._raylet import GcsClient  # type: ignore[attr-defined]

from sweep.authentication import (
    ANSWER_S,
    authentication_kept,
    check_token,
    lock_others_out,
)
from sweep.errors import ClusterError, first_line
from sweep.placement import Node

_STARTS = 3  # of a private cluster
_leaving = ExitStack()  # what is undone when the cluster is left


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
    with ExitStack() as undo:
        undo.enter_context(authentication_kept())
        if address == "local":
            lock_others_out()
            options |= {"include_dashboard": False, "num_cpus": local_cpus()}
            found = address
        else:
            found = _find(address)
            _check_is_here(address, look(found))
        undo.callback(ray.shutdown)
        with _no_cluster(address):
            _join(found, options)
        nodes = look()
        _leaving.enter_context(undo.pop_all())
    return nodes


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
    with authentication_kept():
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
        infos = _client(address).get_all_node_info(timeout=ANSWER_S).values()
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
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
        check_token(address, str(found))
    return str(found)


def _check_is_here(address: str, nodes: tuple[Node, ...]) -> None:
    # ray.init would look for a node for a minute
    here: frozenset[str] = find_node_ids()  # type: ignore[no-untyped-call]
    if not here & {node.id for node in nodes}:
        raise ClusterError(
            f"ray.address: {platform.node()} is no node of the cluster at {address}; "
            "run this on its head, or submit it there"
        )


@contextmanager
def _no_cluster(address: str) -> Iterator[None]:
    try:
        yield
    except ClusterError:
        raise
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
    _leaving.close()
