"""What `strizh.json` says of an export."""

import dataclasses
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from strizh.export.checkpoint import Checkpoint
from strizh.export.manifest_lock import locked
from strizh.export.options import Plan
from strizh.runtime.manifest import MANIFEST, File, Manifest, Variant, read_manifest, write_manifest


def describe_bundle(
    folder: Path,
    source: str,
    checkpoint: Checkpoint,
    planned: Plan,
    variants: dict[str, Variant],
    unused: tuple[str, ...],
) -> Manifest:
    """The manifest of what lies in `folder`, without parity."""
    spec = planned.spec
    notes = [*planned.warnings]
    if not checkpoint.modules.prompts_stored:
        names = ", ".join(checkpoint.modules.prompts)
        notes.append(
            f"the prompts {names} are from the model's card: the checkpoint stores none, and none is a default"
        )
    if checkpoint.task:
        notes.append(f"the adapter of task {checkpoint.task!r} is merged; another task needs a bundle of its own")
    elif checkpoint.tasks:
        notes.append(
            f"no adapter is merged, the weights are the general ones; --task has {', '.join(checkpoint.tasks)}"
        )
    if unused:
        notes.append(f"tensors of the checkpoint that sentence vectors do not need: {_shortened(unused)}")
    return Manifest(
        name=checkpoint.folder.resolve().name if Path(source).expanduser().is_dir() else source,
        source=source if not Path(source).expanduser().is_dir() else checkpoint.folder.resolve().name,
        license=_license(checkpoint.folder / "README.md"),
        spec=spec.to_json(),
        dimension=spec.embedding_dimension,
        pooling="+".join(spec.pooling),
        normalize=spec.normalize,
        max_length=planned.max_length,
        prompts=checkpoint.modules.prompts,
        default_prompt_name=checkpoint.modules.default_prompt_name,
        labels=spec.classifier.labels if spec.classifier else (),
        activation=spec.classifier.activation if spec.classifier else "identity",
        sparse=spec.sparse is not None,
        multi_vector=spec.multi_vector,
        variants=variants,
        files=files_of(folder),
        warnings=tuple(notes),
        producer=f"strizh {version('strizh')}",
    )


def add_figures(folder: Path, check: str, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what a check has found of each variant, under the check's name in the manifest's parity.

    The manifest is read again: a check takes minutes, in which another may have written it. Raises `OSError`.
    """
    with locked(folder):
        now = read_manifest(folder)
        added = {name: now.parity.get(name, {}) | {check: found} for name, found in figures.items()}
        write_manifest(folder, dataclasses.replace(now, parity=now.parity | added))


def files_of(folder: Path) -> dict[str, File]:
    """Size and hash of every file of the bundle but its manifest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): File.of(path) for path in paths}


def _license(card: Path) -> str | None:
    """The licence that a model card's front matter names."""
    if not card.is_file():
        return None
    found = re.search(r"^license:\s*(\S+)", card.read_text(encoding="utf-8", errors="replace")[:4000], re.MULTILINE)
    return found[1] if found else None


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
