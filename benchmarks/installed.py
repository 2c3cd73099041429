"""What an installation weighs."""

import importlib
import re
from importlib import metadata
from pathlib import Path


def installed_bytes(packages: list[str]) -> dict[str, int]:
    """Bytes on disk of these distributions and of all that they require without extras, by name."""
    found: dict[str, int] = {}
    waiting = list(packages)
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # required on other systems only
            continue
        found[name] = _own_bytes(distribution)
        needed = (line for line in distribution.requires or () if "extra ==" not in line)
        waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed]
    return found


def _own_bytes(distribution: metadata.Distribution) -> int:
    paths = {Path(str(distribution.locate_file(file))) for file in distribution.files or ()}
    if any(path.name.startswith("_editable_") for path in paths):
        paths |= _sources(distribution.metadata["Name"])
    return sum(path.stat().st_size for path in paths if path.is_file())


def _sources(name: str) -> set[Path]:
    """Python files of an editable installation: they lie elsewhere, and its list of files does not hold them."""
    parts = (importlib.import_module(f"{name}.{part}") for part in ("export", "runtime", "kernels"))
    return {path for part in parts for folder in part.__path__ for path in Path(folder).rglob("*.py")}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
