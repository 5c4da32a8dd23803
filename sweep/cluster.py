"""Joining a Ray cluster, or starting a private one; with workers.py, knows Ray."""

import os
import secrets
import socket
from typing import Any

import ray
from ray.exceptions import RayError

from sweep.errors import ClusterError, first_line


def connect(address: str) -> tuple[float, float]:
    """Join a Ray cluster, or start a private one of this machine alone.

    Args:
        address: `local`, `auto` or `host:port`.

    Returns:
        The CPU cores and GPUs there are.

    Raises:
        ClusterError: if there is no cluster at that address.
    """
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        # Nobody else on this machine may command the workers. Ray reads the token once
        # a process, and turns it on where the mode is unset; setting that is too late.
        os.environ.pop("RAY_AUTH_MODE", None)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        options |= {"include_dashboard": False, "num_cpus": local_cpus()}
    elif address != "auto":
        _check_reachable(address)
    try:
        ray.init(address=address, **options)
    except (RayError, RuntimeError, ValueError, OSError) as error:
        raise _no_cluster(address, error) from error
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def is_connected() -> bool:
    """Whether this process has joined a cluster."""
    return bool(ray.is_initialized())


def _check_reachable(address: str) -> None:
    # ray.init would go on trying for a minute
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5.0).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> ClusterError:
    return ClusterError(
        f"ray.address: found {address}: {first_line(error)}; allowed: local, auto or "
        "host:port of a running cluster"
    )


def local_cpus() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def disconnect() -> None:
    """Leave the cluster; a private one ends."""
    ray.shutdown()
