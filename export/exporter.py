"""From a checkpoint to a bundle: read, describe, plan, bind, build, write, check."""

import dataclasses
import re
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, cast

from strizh import kernels
from strizh.export.checkpoint import Checkpoint, read_checkpoint
from strizh.export.families import Family, find_family
from strizh.export.graphs import write_variant
from strizh.export.hub import resolve
from strizh.export.options import Options, Plan, plan
from strizh.export.parity import check_promises, quick_parity
from strizh.export.recipes import CPU_BF16, PORTABLE_FP32, Recipe, find_recipe
from strizh.export.sidecars import write_sidecars
from strizh.export.spec import EncoderSpec, Scaling
from strizh.export.staging import staging
from strizh.export.weights import Array, bind
from strizh.runtime.bundle import MANIFEST, File, Manifest, Variant
from strizh.runtime.errors import ParityError, UsageError

Step = Callable[[str], None]


def default_variants() -> tuple[str, ...]:
    """portable-fp32, and cpu-bf16 where its operators are built."""
    return (PORTABLE_FP32.name, CPU_BF16.name) if kernels.library_path() else (PORTABLE_FP32.name,)


def export_model(
    source: str | PathLike[str],
    output: str | PathLike[str],
    *,
    variants: Sequence[str] | None = None,
    rope_scaling: str | None = None,
    ntk_length: str = "text",
    pooling: str | None = None,
    normalize: bool | None = None,
    max_length: int | None = None,
    verify: bool = True,
    force: bool = False,
    step: Step = lambda what: None,
) -> Manifest:
    """Export the checkpoint `source` (a folder or a hub id) as the bundle `output`; returns its manifest.

    `rope_scaling`: "none", "linear:F" or "dynamic:F". `ntk_length`: whose length dynamic scaling looks at, "text" or,
    as the published RoPEBert module does, "batch". `pooling`: a sentence-transformers mode or "first_token_transform".
    None means the checkpoint's own. `verify` compares every variant with the model before the bundle appears;
    `force` replaces a bundle, and keeps one that misses its promise. `step` is told what is being done.

    Raises `CheckpointError`, `UnsupportedModel`, `UsageError` or `ParityError`; then nothing is left behind.
    """
    recipes = [find_recipe(name) for name in dict.fromkeys(variants or default_variants())]
    options = Options(
        rope_scaling=rope_scaling, ntk_length=ntk_length, pooling=pooling, normalize=normalize, max_length=max_length
    )
    with staging(Path(output), force) as folder:
        step("reading the checkpoint")
        checkpoint = read_checkpoint(resolve(str(source)))
        family = find_family(checkpoint)
        planned = plan(checkpoint, family.describe(checkpoint), options)
        _check_batch_ntk(planned.spec, recipes)
        weights, unused = bind_weights(checkpoint, family, planned)
        made = {recipe.name: write_variant(folder, recipe, planned.spec, weights, step) for recipe in recipes}
        write_sidecars(folder, checkpoint, planned)
        manifest = _manifest(folder, str(source), checkpoint, planned, made, unused)
        if verify:
            manifest = _verified(folder, manifest, planned.spec, weights, force, step)
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def bind_weights(checkpoint: Checkpoint, family: Family, planned: Plan) -> tuple[Mapping[str, Array], tuple[str, ...]]:
    """The tensors of every slot, those of the Dense modules included, and the checkpoint's names that play no part."""
    encoder = dataclasses.replace(planned.spec, projections=())
    weights, unused = bind(checkpoint, encoder, family.sources(checkpoint, encoder), family.IGNORED)
    return ChainMap(planned.dense, cast(dict[str, Array], weights)), unused


def _check_batch_ntk(spec: EncoderSpec, recipes: Sequence[Recipe]) -> None:
    packed = [recipe.name for recipe in recipes if recipe.target not in ("portable", "ort")]
    dynamic = any(layer.rope and layer.rope.scaling is Scaling.DYNAMIC for layer in spec.layers)
    if spec.ntk_length == "batch" and dynamic and packed:
        raise UsageError(
            f"ntk_length='batch' needs a padded batch, which {', '.join(packed)} never has. "
            "Ask for portable-fp32 or ort-fp32, or leave ntk_length at 'text'."
        )


def _manifest(
    folder: Path,
    source: str,
    checkpoint: Checkpoint,
    planned: Plan,
    variants: dict[str, Variant],
    unused: tuple[str, ...],
) -> Manifest:
    spec = planned.spec
    notes = [*planned.warnings]
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
        variants=variants,
        files=_files(folder),
        warnings=tuple(notes),
        producer=f"strizh {version('strizh')}",
    )


def _files(folder: Path) -> dict[str, File]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): File.of(path) for path in paths}


def _verified(folder: Path, manifest: Manifest, spec: EncoderSpec, weights: Any, force: bool, step: Step) -> Manifest:
    """The manifest with its parity; the float32 graph is made for the comparison if it was not asked for."""
    variants = dict(manifest.variants)
    borrowed = PORTABLE_FP32.name not in variants
    if borrowed:
        variants[PORTABLE_FP32.name] = write_variant(folder, PORTABLE_FP32, spec, weights, step)
    both = dataclasses.replace(manifest, variants=variants, files=_files(folder))
    (folder / MANIFEST).write_text(both.to_json(), encoding="utf-8")
    step("checking parity")
    parity = quick_parity(folder, spec, weights, list(manifest.variants))
    notes = manifest.warnings
    try:
        check_promises(parity)
    except ParityError as error:
        if not force:
            raise
        notes = (*notes, f"kept by --force: {error}")
    if borrowed:
        graph = variants[PORTABLE_FP32.name]
        for name in (graph.file, *graph.data, *filter(None, [graph.classifier])):
            (folder / name).unlink()
        if not any((folder / "onnx").iterdir()):
            (folder / "onnx").rmdir()
    kept = {name: figures for name, figures in parity.items() if name in manifest.variants}
    return dataclasses.replace(manifest, parity=kept, warnings=notes)


def _license(card: Path) -> str | None:
    """The licence that a model card's front matter names."""
    if not card.is_file():
        return None
    found = re.search(r"^license:\s*(\S+)", card.read_text(encoding="utf-8", errors="replace")[:4000], re.MULTILINE)
    return found[1] if found else None


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
