"""`strizh.json`, the bundle's format: every other file of the folder with its size and SHA-256, and what they are."""

import dataclasses
import json
import os
import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import Any

from strizh.runtime import containment, hashing, strict_json
from strizh.runtime.engines import Engine
from strizh.runtime.errors import BundleError, UsageError

MANIFEST = "strizh.json"
TOKENIZER = "tokenizer.json"
FORMAT_VERSION = 1
SCORE_ACTIVATIONS = ("identity", "sigmoid", "softmax")  # from a classifier's logits to its scores
_OLDEST_FORMAT = 1
# What the runtime reads of the spec, where it is there.
_OF_SPEC = {"hidden_size": (int, NoneType), "pad_token_id": (int, NoneType), "projections": (list, tuple, NoneType)}
_MAX_MANIFEST_BYTES = 64 << 20  # a million times what a manifest needs would only be an attack on memory


@dataclass(frozen=True, slots=True)
class File:
    """One file of the bundle: size in bytes, SHA-256 in hex, and that of each 16 MiB of a file that is larger."""

    size: int
    sha256: str
    blocks: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> "File":
        """Size and hashes of a file on disk."""
        return cls(path.stat().st_size, hashing.sha256(path), tuple(hashing.blocks(path)))


@dataclass(frozen=True, slots=True)
class Variant:
    """One graph. `file` and `data` (external weights) are keys of `Manifest.files`."""

    file: str
    target: str
    precision: str
    data: tuple[str, ...] = ()
    classifier: str | None = None  # key of the graph that gives `logits`, where the checkpoint has a head
    details: dict[str, Any] = field(default_factory=dict)  # node counts, weight layout, recipe


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A vocabulary cut to languages and corpora `kept_for`: tokens left `of` those of the checkpoint.

    `changed` is the share of the tokens of the `sample`, which is said in words, that are none of those left.
    """

    kept_for: tuple[str, ...]
    tokens: int
    of: int
    changed: float | None
    sample: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything the runtime needs to know, and the proof that came with it.

    Making one checks every field, so that neither a reader nor a writer can hold a wrong one: `BundleError` lists all
    that is wrong.
    """

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
    sparse: bool = False  # whether the graphs give `sparse_weights`
    multi_vector: int = 0  # columns of their `colbert_vectors`; 0 without
    activation: str = "identity"  # what turns a classifier's logits into scores
    variants: dict[str, Variant]
    files: dict[str, File]
    engines: tuple[Engine, ...] = ()  # that `strizh build-engine` has added
    parity: dict[str, dict[str, Any]] = field(default_factory=dict)  # variant -> figures
    vocabulary: Vocabulary | None = None  # what it was cut to; None for all that the checkpoint has
    warnings: tuple[str, ...] = ()
    producer: str = ""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
            raise BundleError(f"{MANIFEST} is wrong: {'; '.join(problems[:8])}{more}. Export the bundle again")

    def to_json(self) -> str:
        """The text of `strizh.json`. It names engines only where there are any: readers older than they are know no such key."""
        fields = dataclasses.asdict(self)
        if not self.engines:
            del fields["engines"]
        return json.dumps(fields, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _problems(manifest: Manifest) -> Iterator[str]:
    """Every rule that the types alone do not hold."""
    for name in ("dimension", "max_length"):
        if not 0 < getattr(manifest, name) < 2**31:
            yield f"{name} is {getattr(manifest, name)}, expected a positive 32-bit number"
    if manifest.default_prompt_name is not None and manifest.default_prompt_name not in manifest.prompts:
        yield f"default_prompt_name {manifest.default_prompt_name!r} is not one of the prompts"
    if manifest.activation not in SCORE_ACTIVATIONS:
        yield f"activation is {manifest.activation!r}, expected one of {', '.join(SCORE_ACTIVATIONS)}"
    if TOKENIZER not in manifest.files:
        yield f"files lacks {TOKENIZER}"
    if not manifest.variants:
        yield "variants is empty"
    for name, kinds in _OF_SPEC.items():
        if isinstance(value := manifest.spec.get(name), bool) or not isinstance(value, kinds):
            expected = " or ".join("null" if kind is NoneType else kind.__name__ for kind in kinds if kind is not tuple)
            yield f"spec has {name} {value!r:.80}, expected {expected}"
    for name, file in manifest.files.items():
        if problem := containment.problem_with(name):
            yield f"the file name {name[:80]!r} {problem}"
        if file.size < 0 or not all(re.fullmatch("[0-9a-f]{64}", text) for text in (file.sha256, *file.blocks)):
            yield f"files[{name!r}] has no proper size and SHA-256"
        if file.blocks and len(file.blocks) != (count := hashing.block_count(file.size)):
            yield f"files[{name!r}] has {len(file.blocks)} blocks, expected {count}"
    for name, variant in manifest.variants.items():
        for file_name in (variant.file, *variant.data, *filter(None, [variant.classifier])):
            if file_name not in manifest.files:
                yield f"variant {name!r} needs {file_name!r}, which files does not list"
        if variant.classifier and not manifest.labels:
            yield f"variant {name!r} has a classifier, but there are no labels"
    for engine in manifest.engines:
        for file_name in (engine.graph, engine.file):
            if file_name not in manifest.files:
                yield f"an engine needs {file_name!r}, which files does not list"
        if min(astuple(engine.profile)) < 1:
            yield f"the engine {engine.file!r} takes no shapes"


def read_manifest(folder: str | PathLike[str]) -> Manifest:
    """Read and check `strizh.json`; raises `BundleError`, or `UsageError` for no path. Does not open any other file."""
    if not isinstance(folder, str | PathLike):
        raise UsageError(f"bundle is of type {type(folder).__name__}, expected the path of a bundle's folder")
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"'{folder}' is not a folder, expected a bundle written by `strizh export`")
    if not (folder / MANIFEST).exists():
        raise BundleError(f"'{folder}' holds no {MANIFEST}, so it is not a bundle. Make one with `strizh export`")
    path = containment.resolve(folder, MANIFEST)
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise BundleError(f"bundle '{folder.name}': {MANIFEST} is larger than 64 MiB. Do not use this bundle")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"bundle '{folder.name}': {MANIFEST} cannot be read ({error}). Export it again") from None
    at = f"bundle '{folder.name}': {MANIFEST}"
    data = strict_json.parse(text, at)
    _check_format(data, folder.name)
    return strict_json.build(Manifest, data, at)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `strizh.json`; one that is there is replaced at once, so that the bundle is whole whatever happens.

    Of two that write at the same time the last one stays. Raises `OSError`.
    """
    written = folder / f".{MANIFEST}.partial-{os.getpid()}"
    try:
        with written.open("w", encoding="utf-8") as stream:
            stream.write(manifest.to_json())
            stream.flush()
            os.fsync(stream.fileno())
        written.replace(folder / MANIFEST)
    finally:
        written.unlink(missing_ok=True)


def _check_format(data: Any, name: str) -> None:
    """First of all: a newer format may have any other key."""
    version = data.get("format_version") if isinstance(data, dict) else None
    if type(version) is not int:
        raise BundleError(f"bundle '{name}': {MANIFEST} has no format_version, so it is not a bundle of strizh")
    if not _OLDEST_FORMAT <= version <= FORMAT_VERSION:
        advice = "Upgrade strizh" if version > FORMAT_VERSION else "Export it again"
        raise BundleError(
            f"bundle '{name}' has format {version}, this runtime reads {_OLDEST_FORMAT} to {FORMAT_VERSION}. {advice}"
        )
