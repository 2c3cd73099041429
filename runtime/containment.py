"""Paths of a bundle: relative, plain, and inside the folder even after symbolic links are followed."""

import re
from pathlib import Path

from strizh.runtime.errors import BundleError

# Control characters, and what Windows reads as a drive, a stream or a separator.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')


def problem_with(name: str) -> str | None:
    """What is wrong with a file name of the manifest, or None; the disk is not asked."""
    if not name or len(name) > 1024:
        return "is empty or longer than 1024 characters"
    if match := _FORBIDDEN.search(name):
        return f"holds the character {match.group()!r}"
    if name.startswith("/"):
        return "is an absolute path"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "leaves or repeats its folder with '.', '..' or '//'"
    return None


def resolve(bundle: Path, name: str) -> Path:
    """The path of `name` inside the folder `bundle`; `BundleError` if it is absent, no plain file, or elsewhere."""
    if problem := problem_with(name):
        raise BundleError(f"bundle '{bundle.name}' names the file {name!r}, which {problem}. Do not use this bundle")
    path = bundle / name
    try:
        real = path.resolve(strict=True)
        outside = not real.is_relative_to(bundle.resolve(strict=True))
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be opened ({error})"
        raise BundleError(f"bundle '{bundle.name}': {name} {reason}. Copy or export the bundle again") from None
    if outside:
        raise BundleError(
            f"bundle '{bundle.name}': {name} is a link to a place outside the bundle. "
            "If you trust it, copy the bundle with links followed (cp -rL) and open the copy"
        )
    if not real.is_file():
        raise BundleError(f"bundle '{bundle.name}': {name} is not a file. Copy or export the bundle again")
    return path
