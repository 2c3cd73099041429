"""A bundle appears whole or not at all: it is written beside its place and moved there at the end."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strizh.runtime.bundle import MANIFEST
from strizh.runtime.errors import UsageError


@contextmanager
def staging(output: Path, force: bool) -> Iterator[Path]:
    """A fresh folder that becomes `output` when the block ends well, and is gone when it does not.

    Raises `UsageError` if `output` exists, unless `force` and it is a bundle or an empty folder: nothing else is
    ever deleted.
    """
    _check(output, force)
    partial = output.with_name(f".{output.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        _check(output, force)
        replaced = output.with_name(f".{output.name}.replaced-{os.getpid()}")
        if output.exists():
            output.rename(replaced)
        partial.rename(output)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(output: Path, force: bool) -> None:
    if not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"{output} is a file; --output names the bundle's folder. Choose another name.")
    if (output / MANIFEST).is_file():
        if not force:
            raise UsageError(f"{output} is a bundle already. Choose another folder, or replace it with --force.")
    elif any(output.iterdir()):
        raise UsageError(
            f"{output} is a folder with other things in it, which export will not delete. Choose another one."
        )
