"""The variants of a bundle, built and written one after another."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from strizh.export import targets
from strizh.export.quantize.quantizer import Quantizer
from strizh.export.recipes import Recipe
from strizh.export.spec import EncoderSpec
from strizh.export.targets import ort
from strizh.export.weights import Array
from strizh.export.write import ExternalData, external_data, write_model
from strizh.runtime.errors import Error
from strizh.runtime.manifest import Variant


def write_variant(
    folder: Path,
    recipe: Recipe,
    spec: EncoderSpec,
    weights: Mapping[str, Array],
    quantizer: Quantizer | None,
    step: Callable[[str], None],
) -> Variant:
    """Build, check and write one variant's graphs; `step` is told what is being done. No `quantizer`: plain float32."""
    step(f"{recipe.name}: building")
    build, extra = partial(targets.build, recipe, spec, weights), {}
    if quantizer:
        build = partial(build, quantized=quantizer.plan(recipe), int8_table=quantizer.int8_table(recipe))
        extra = quantizer.details(recipe)
    model = build("embedding")
    details = _details(recipe, spec, model) | extra
    # A classifier is a graph of its own over the same weights: they are stored once, beside both.
    data = external_data(folder / recipe.file, model, wanted=recipe.external or spec.classifier is not None)
    step(f"{recipe.name}: writing")
    write_model(model, folder / recipe.file, data)
    del model
    if spec.classifier:
        write_model(build("classifier"), folder / recipe.classifier, data)
    return variant_of(recipe, details, data, classifier=spec.classifier is not None)


def variant_of(recipe: Recipe, details: dict[str, Any], data: ExternalData | None, classifier: bool = False) -> Variant:
    """The manifest's entry for what was written."""
    return Variant(
        file=recipe.file,
        target=recipe.target,
        precision=recipe.precision,
        data=(f"{recipe.file}_data",) if data else (),
        classifier=recipe.classifier if classifier else None,
        details=details,
    )


def _details(recipe: Recipe, spec: EncoderSpec, model: onnx.ModelProto) -> dict[str, Any]:
    counts = dict(sorted(Counter(node.op_type for node in model.graph.node).items()))
    if recipe.target == "ort" and (found := ort.fused_counts(model)) != (wanted := ort.expected_counts(spec)):
        raise Error(f"{recipe.name} has fused nodes {found}, the spec calls for {wanted}. This is a bug of the target.")
    return {"nodes": counts, "opset": {item.domain or "ai.onnx": item.version for item in model.opset_import}}
