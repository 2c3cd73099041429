"""A bundle that holds one variant, written by strizh as it is in this working tree."""

from pathlib import Path
from typing import Any

from benchmarks.files import hash_of
from benchmarks.machine import ROOT

ENVIRONMENT = "main"


def key(source: str) -> str:
    """Changes with every source of the exporter and the kernels."""
    paths = [path for part in ("export", "kernels", "runtime") for path in sorted((ROOT / part).rglob("*"))]
    return hash_of(*(path for path in paths if path.suffix in (".py", ".cpp", ".h", ".txt")))


def make(model: dict[str, Any], source: str, path: str) -> None:
    """Export the variant `source`. Parity is not checked here: every timed row is preceded by a check of its own."""
    from strizh.export import export_model

    export_model(model["checkpoint"], Path(path), variants=[source], verify=False, normalize=True)
