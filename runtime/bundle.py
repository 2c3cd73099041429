"""The bundle's format: the only thing that export and runtime both know.

`strizh.json` names every other file of the folder with its size and SHA-256. A bundle is data: nothing in it is
executed, every path stays inside the folder, and a file that the manifest does not vouch for is not opened.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strizh.runtime.errors import BundleError

MANIFEST = "strizh.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class File:
    """One file of the bundle: size in bytes, SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One graph. `file` and `data` (external weights) are keys of `Manifest.files`."""

    file: str
    target: str
    precision: str
    data: tuple[str, ...] = ()
    classifier: str | None = None  # key of the graph that gives `logits`, where the checkpoint has a head
    details: dict[str, Any] = field(default_factory=dict)  # node counts, weight layout, recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything the runtime needs to know, and the proof that came with it."""

    name: str
    source: str
    license: str | None
    spec: dict[str, Any]
    dimension: int
    pooling: str
    normalize: bool
    max_length: int  # tokens of one text, special tokens included
    prompts: dict[str, str]
    default_prompt_name: str | None
    labels: tuple[str, ...]
    variants: dict[str, Variant]
    files: dict[str, File]
    parity: dict[str, Any] = field(default_factory=dict)  # variant -> figures
    warnings: tuple[str, ...] = ()
    producer: str = ""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2) + "\n"


def sha256(path: Path) -> str:
    """SHA-256 of a file in hex, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(bundle: Path) -> Manifest:
    """Read and check `strizh.json`; raises `BundleError`. Does not open any other file."""
    raise BundleError("not written yet")
