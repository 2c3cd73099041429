"""A bundle appears whole or not at all: it is written beside its place and moved there at the end."""

import errno
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from strizh.runtime.errors import DeviceError, UsageError
from strizh.runtime.manifest import MANIFEST


@contextmanager
def staging(output: Path, force: bool) -> Iterator[Path]:
    """A fresh folder that becomes `output` when the block ends well, and is gone when it does not.

    Raises `UsageError` if `output` exists, unless `force` and it is a bundle or an empty folder: nothing else is
    ever deleted, but what exports of `output` that were killed have left beside it.
    """
    output = output.resolve()  # "." has no name to put a folder beside
    with suppress(OSError):  # a place that cannot be looked through may still be written to
        _sweep(output)
    _check(output, force)
    partial = _beside(output, "partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{output} cannot be made: {error.strerror}. Name a place that you may write to.") from error
    try:
        with _room(output):
            yield partial
        _check(output, force)
        replaced = _beside(output, "replaced")
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


def _beside(output: Path, what: str) -> Path:
    """This process's folder of that kind. A number of a process says nothing on another host, nor in another container."""
    return output.with_name(f".{output.name}.{what}-{platform.node()}-{os.getpid()}")


def _sweep(output: Path) -> None:
    """After exports that a signal ended at once here: their half-written folders go, an old bundle set aside comes back."""
    name, host = re.escape(output.name), re.escape(platform.node())
    ours = re.compile(rf"\.{name}\.(partial|replaced)-{host}-([1-9][0-9]{{0,8}})")
    for left in output.parent.iterdir() if output.parent.is_dir() else ():
        found = ours.fullmatch(left.name)
        if not found or left.is_symlink() or not left.is_dir() or _lives(int(found[2])):
            continue
        if found[1] == "replaced" and not output.exists():  # killed between the two moves
            left.rename(output)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    if sys.platform == "win32":  # where this question would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


@contextmanager
def _room(output: Path) -> Iterator[None]:
    """A disk that is full says so with the name of what does not fit on it; `DeviceError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise DeviceError(
                f"{output} cannot be written: {error.strerror}. Make room there, or name another place."
            ) from error
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
