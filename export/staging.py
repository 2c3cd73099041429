"""A bundle appears whole or not at all: it is written beside its place and moved there at the end."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strizh.runtime.manifest import MANIFEST
from strizh.runtime.errors import DeviceError, UsageError


@contextmanager
def staging(output: Path, force: bool) -> Iterator[Path]:
    """A fresh folder that becomes `output` when the block ends well, and is gone when it does not.

    Raises `UsageError` if `output` exists, unless `force` and it is a bundle or an empty folder: nothing else is
    ever deleted.
    """
    output = output.resolve()  # "." has no name to put a folder beside
    _check(output, force)
    partial = output.with_name(f".{output.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{output} cannot be made: {error.strerror}. Name a place that you may write to.") from error
    try:
        with _room(output):
            yield partial
        _check(output, force)
        replaced = output.with_name(f".{output.name}.replaced-{os.getpid()}")
        try:
            if output.exists():
                output.rename(replaced)
            partial.rename(output)
        finally:  # whatever stopped it, and wherever: one of the two is there
            if output.exists():
                shutil.rmtree(replaced, ignore_errors=True)
            elif replaced.exists():
                replaced.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _room(output: Path) -> Iterator[None]:
    """A disk that is full says so with the name of what does not fit on it; `DeviceError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise DeviceError(f"{output} cannot be written: {error.strerror}. Make room there, or name another place.") from error
        raise


def _check(output: Path, force: bool) -> None:
    if not output.exists():
        return
    if output in (here := Path.cwd(), *here.parents):
        raise UsageError(f"{output} is the folder that this runs in, or holds it. Name a new folder, such as ./bundle.")
    if not output.is_dir():
        raise UsageError(f"{output} is a file; --output names the bundle's folder. Choose another name.")
    if (output / MANIFEST).is_file():
        if not force:
            raise UsageError(f"{output} is a bundle already. Choose another folder, or replace it with --force.")
    elif any(output.iterdir()):
        raise UsageError(
            f"{output} is a folder with other things in it, which export will not delete. Choose another one."
        )
