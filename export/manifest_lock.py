"""A bundle's manifest, changed by one program at a time."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Until the block ends no other block of a bundle's folder runs, in whatever process or thread: each waits for its turn.

    The lock is the folder's own and ends with the process, so that nothing is left behind. Where there is none (Windows, some
    network file systems) the block runs without: of two that write in the same moment the last one stays.
    """
    if sys.platform == "win32":
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
