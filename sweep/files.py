"""Files that are whole or not there, whatever ends the process that writes them."""

import contextlib
import os
import shutil
from pathlib import Path


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file elsewhere, then move it over whatever is at `path`.

    Args:
        path: The file; its folder is made if it is not there.
        content: What it is to hold.
        durable: Whether it has to outlast a power cut, which takes milliseconds.

    Raises:
        OSError: The disk is full, or the folder may not be written; what was at `path`
            is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    elsewhere = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with elsewhere.open("wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        elsewhere.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            elsewhere.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, and the one above if that is empty."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _sync_folder(folder: Path) -> None:
    # a rename is on the disk once its folder is
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
