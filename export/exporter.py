"""From a checkpoint to a bundle: read, describe, plan, bind, build, write, check."""

import dataclasses
import shutil
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np

from strizh import kernels
from strizh.export import targets, traced
from strizh.export.baseline import PYTORCH, pytorch
from strizh.export.checkpoint import Checkpoint, read_checkpoint
from strizh.export.families import Family, find_family
from strizh.export.graphs import write_variant
from strizh.export.hub import resolve
from strizh.export.manifest import describe_bundle, files_of
from strizh.export.options import Options, Plan, plan
from strizh.export.parity import check_promises, parity_texts, parity_with, quick_parity
from strizh.export.prompts import with_known_prompts
from strizh.export.quantize.magnitudes import check as check_magnitudes
from strizh.export.quantize.quantizer import Quantizer, Quantizing
from strizh.export.recipes import CPU_BF16, PORTABLE_FP32, Recipe, find_recipe
from strizh.export.reference import Definition
from strizh.export.sidecars import write_sidecars
from strizh.export.spec import EncoderSpec, Scaling
from strizh.export.staging import staging
from strizh.export.vocabulary.choose import cut_for
from strizh.export.weights import Array, bind
from strizh.runtime.errors import ParityError, UnsupportedModel, UsageError
from strizh.runtime.manifest import Manifest, Variant, write_manifest

Step = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Wishes:
    """How an export goes about it, whatever it makes."""

    named: bool  # the variants are the user's choice, not the default
    verify: bool
    force: bool
    quantizing: Quantizing
    step: Step
    keep_languages: Sequence[str]


def default_variants() -> tuple[str, ...]:
    """portable-fp32, and cpu-bf16 where its operators are built; an export leaves out what cannot express its model."""
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
    task: str | None = None,
    verify: bool = True,
    force: bool = False,
    method: str = "build",
    quantizing: Quantizing = Quantizing(),  # noqa: B008 (frozen)
    keep_languages: Sequence[str] = (),
    step: Step = lambda what: None,
) -> Manifest:
    """Export the checkpoint `source` (a folder or a hub id) as the bundle `output`; returns its manifest.

    `variants`: names of `recipes.RECIPES`; None means `default_variants`. One that is named must be able to express the model.
    `rope_scaling`: "none", "linear:F" or "dynamic:F". `ntk_length`: whose length dynamic scaling looks at, "text" or,
    as the published RoPEBert module does, "batch". `pooling`: a sentence-transformers mode or "first_token_transform".
    None means the checkpoint's own. `task`: whose adapter to merge, for checkpoints that have some. `verify` compares
    every variant with the model before the bundle appears; `force` replaces a bundle, and keeps one that misses its
    promise. `method`: "build" writes the graphs from the family's description; "trace" lets PyTorch trace the model, for
    encoders without a family, portable-fp32 only. `quantizing` says how variants below float32 are made. `keep_languages`:
    codes of languages and files of texts (.txt, .jsonl), to which the vocabulary is cut. `step` is told what is being done.

    Raises `CheckpointError`, `UnsupportedModel`, `UsageError`, `DeviceError` or `ParityError`; then nothing is left behind.
    """
    wanted = variants or ((PORTABLE_FP32.name,) if method == "trace" else default_variants())
    recipes = [find_recipe(name) for name in dict.fromkeys(wanted)]
    quantizing.check(recipes)
    options = Options(
        rope_scaling=rope_scaling, ntk_length=ntk_length, pooling=pooling, normalize=normalize, max_length=max_length
    )
    with staging(Path(output), force) as folder:
        step("reading the checkpoint")
        checkpoint = with_known_prompts(read_checkpoint(resolve(str(source)), task), str(source))
        make = {"build": _build, "trace": _trace}.get(method)
        if make is None:
            raise UsageError(f"method is {method!r}; expected 'build' or 'trace'.")
        wishes = Wishes(bool(variants), verify, force, quantizing, step, keep_languages)
        manifest = make(folder, str(source), checkpoint, options, recipes, wishes)
        write_manifest(folder, manifest)
    return manifest


def _build(
    folder: Path, source: str, checkpoint: Checkpoint, options: Options, recipes: Sequence[Recipe], wishes: Wishes
) -> Manifest:
    """Graphs written from the family's spec."""
    family = find_family(checkpoint)
    planned = plan(checkpoint, family.describe(checkpoint), options)
    recipes, left_out = _writable(recipes, planned.spec, wishes.named)
    planned = dataclasses.replace(planned, warnings=(*planned.warnings, *left_out))
    _check_batch_ntk(planned.spec, recipes)
    weights, unused = bind_weights(checkpoint, family, planned)
    definition, vocabulary = Definition(planned.spec, weights), None
    if wishes.keep_languages:
        wishes.step("cutting the vocabulary")
        cut = cut_for(checkpoint, planned.spec, wishes.keep_languages)
        definition, vocabulary = dataclasses.replace(definition, kept=cut.kept), cut.report
        checkpoint, planned, weights = cut.checkpoint(checkpoint), cut.plan(planned), cut.weights(weights)
    write_sidecars(folder, checkpoint, planned)
    prompts = tuple(checkpoint.modules.prompts.values())
    quantizer = Quantizer(planned.spec, weights, folder, planned.max_length, prompts, wishes.quantizing, wishes.step)

    def write(recipe: Recipe, quantizer: Quantizer | None) -> Variant:
        return write_variant(folder, recipe, planned.spec, weights, quantizer, wishes.step)

    made = {recipe.name: write(recipe, quantizer) for recipe in recipes}
    manifest = describe_bundle(folder, source, checkpoint, planned, made, unused)
    manifest = dataclasses.replace(manifest, vocabulary=vocabulary)
    return _verified(folder, manifest, definition, write, quantizer, wishes) if wishes.verify else manifest


def _trace(
    folder: Path, source: str, checkpoint: Checkpoint, options: Options, recipes: Sequence[Recipe], wishes: Wishes
) -> Manifest:
    """The one graph that PyTorch traces."""
    traced.check_recipes(recipes)
    if wishes.keep_languages:
        raise UsageError(
            "--keep-languages is not for --method trace, whose graph holds every token. Leave one of them out."
        )
    if wishes.quantizing.embeddings != "float":
        raise UsageError(
            "--embeddings int8 is not for --method trace, whose graph keeps its table. Leave one of them out."
        )
    planned = plan(checkpoint, traced.describe(checkpoint, options.max_length), options)
    made = {PORTABLE_FP32.name: traced.write_traced(folder, checkpoint, planned, options, wishes.step)}
    write_sidecars(folder, checkpoint, planned)
    manifest = describe_bundle(folder, source, checkpoint, planned, made, ())
    manifest = dataclasses.replace(manifest, spec=traced.summary(planned.spec))
    if not wishes.verify:
        return manifest
    write_manifest(folder, manifest)
    wishes.step("checking parity")
    name, model = PORTABLE_FP32.name, pytorch(checkpoint, planned, options)
    figures = parity_with(
        folder, name, PYTORCH, lambda texts: np.stack([model(text)[1] for text in texts]), parity_texts()
    )
    return _keeping_promises(manifest, {name: figures}, made, wishes.force)


def bind_weights(checkpoint: Checkpoint, family: Family, planned: Plan) -> tuple[Mapping[str, Array], tuple[str, ...]]:
    """The tensors of every slot, those of other files included, and the checkpoint's names that play no part."""
    encoder = dataclasses.replace(planned.spec, projections=(), sparse=None, multi_vector=0)
    weights, unused = bind(checkpoint, encoder, family.sources(checkpoint, encoder), family.IGNORED)
    return ChainMap(planned.dense, cast(dict[str, Array], weights)), unused


def _writable(recipes: Sequence[Recipe], spec: EncoderSpec, named: bool) -> tuple[list[Recipe], tuple[str, ...]]:
    """The recipes whose targets can express the spec, and why the others are left out; one asked for by name raises."""
    found, left_out = [], []
    for recipe in recipes:
        try:
            targets.check(recipe, spec)
            found.append(recipe)
        except UnsupportedModel as error:
            if named:
                raise
            left_out.append(f"{recipe.name} is left out: {error}")
    return found, tuple(left_out)


def _check_batch_ntk(spec: EncoderSpec, recipes: Sequence[Recipe]) -> None:
    packed = [recipe.name for recipe in recipes if recipe.target not in ("portable", "ort", "tensorrt")]
    dynamic = any(layer.rope and layer.rope.scaling is Scaling.DYNAMIC for layer in spec.layers)
    if spec.ntk_length == "batch" and dynamic and packed:
        raise UsageError(
            f"ntk_length='batch' needs a padded batch, which {', '.join(packed)} never has. "
            "Ask for portable-fp32 or ort-fp32, or leave ntk_length at 'text'."
        )


def _verified(
    folder: Path,
    manifest: Manifest,
    definition: Definition,
    write: Callable[[Recipe, Quantizer | None], Variant],
    quantizer: Quantizer,
    wishes: Wishes,
) -> Manifest:
    """The manifest with its parity; a plain float32 graph is made for the comparison if the bundle is to have none."""
    variants, plain = dict(manifest.variants), PORTABLE_FP32
    borrowed = plain.name not in variants or quantizer.int8_table(plain)
    if borrowed:
        plain = dataclasses.replace(plain, name="float32", file="float32/model.onnx", classifier="float32/head.onnx")
        graph = write(plain, None)
        variants[plain.name] = dataclasses.replace(graph, details={"promise": dataclasses.asdict(plain.promise)})
    both = dataclasses.replace(manifest, variants=variants, files=files_of(folder))
    write_manifest(folder, both)
    wishes.step("checking parity")
    parity = quick_parity(folder, definition, list(manifest.variants), plain.name)
    if borrowed:
        shutil.rmtree(folder / "float32")
    return _keeping_promises(manifest, parity, variants, wishes.force)


def _keeping_promises(
    manifest: Manifest, parity: dict[str, Any], variants: Mapping[str, Variant], force: bool
) -> Manifest:
    """The manifest with the parity of its variants; raises `ParityError` for a missed promise unless forced."""
    notes = manifest.warnings
    try:
        check_promises(parity, variants)
        for variant in manifest.variants.values():
            check_magnitudes(variant.details.get("float16_magnitudes", {}))
    except ParityError as error:
        if not force:
            raise
        notes = (*notes, f"kept by --force: {error}")
    kept = {name: figures for name, figures in parity.items() if name in manifest.variants}
    return dataclasses.replace(manifest, parity=kept, warnings=notes)
