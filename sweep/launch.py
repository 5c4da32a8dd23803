"""Starts Ray and imports the heavy libraries at the same time; both take seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Thread

from sweep.cluster import connect, disconnect, is_connected
from sweep.errors import ClusterError


@contextmanager
def launched(address: str) -> Iterator[tuple[float, float]]:
    """Be connected to Ray, with `sweep.session` ready to be imported.

    Args:
        address: `local`, `auto` or `host:port`.

    Yields:
        The CPU cores and GPUs there are.

    Raises:
        ClusterError: if there is no cluster at that address, or this process has
            joined one.
    """
    if is_connected():
        raise ClusterError(
            "this process has joined a Ray cluster already; what to do: ray.shutdown() "
            "before the run, or a run in a process of its own"
        )
    # Ray's processes end with the thread that starts them, so the other does the rest
    importing = Thread(target=import_module, args=("sweep.session",), daemon=True)
    importing.start()
    try:
        resources = connect(address)
        importing.join()
        yield resources
    finally:
        disconnect()
