"""Starts Ray and imports the heavy libraries at the same time; both take seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Thread

from sweep.cluster import connect, disconnect
from sweep.placement import Node


@contextmanager
def launched(address: str) -> Iterator[tuple[Node, ...]]:
    """Be connected to Ray, with `sweep.session` ready to be imported.

    Args:
        address: `local`, `auto` or `host:port`.

    Yields:
        The nodes there are.

    Raises:
        ClusterError: if there is no cluster at that address, or it lets nobody in.
    """
    # Ray's processes end with the thread that starts them, so the other does the rest
    importing = Thread(target=import_module, args=("sweep.session",), daemon=True)
    importing.start()
    try:
        nodes = connect(address)
        importing.join()
        yield nodes
    finally:
        disconnect()
