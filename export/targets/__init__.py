"""The engines a graph is written for, one a file."""

from collections.abc import Mapping

import onnx

from strizh.export.passes.half import to_half
from strizh.export.passes.int8_products import quantize_products
from strizh.export.passes.int8_table import quantize_table
from strizh.export.quantize.dequantized import Dequantized
from strizh.export.quantize.int8 import Quantized
from strizh.export.recipes import Recipe
from strizh.export.spec import EncoderSpec
from strizh.export.targets import cpu, cuda, ort, portable, tensorrt
from strizh.export.targets.portable import Head
from strizh.export.weights import Array


def check(recipe: Recipe, spec: EncoderSpec) -> None:
    """Raise `UnsupportedModel` for a spec that the recipe's target cannot express."""
    if limited := {"cpu": cpu, "cuda": cuda, "tensorrt": tensorrt}.get(recipe.target):
        limited.check(spec)


def build(
    recipe: Recipe,
    spec: EncoderSpec,
    weights: Mapping[str, Array],
    head: Head,
    quantized: Quantized | None = None,
    int8_table: bool = False,
) -> onnx.ModelProto:
    """The graph of a variant. `quantized` is the plan of an int8 one; `int8_table`: word embeddings in int8.

    Raises `UnsupportedModel` for a spec that the target cannot express.
    """
    if recipe.target == "cpu":
        if quantized is None:
            return cpu.build(spec, weights, head, precision=recipe.precision, int8_table=int8_table)
        return cpu.build(
            spec,
            Dequantized(weights, quantized.sites),
            head,
            precision=recipe.precision,
            keep_bf16=quantized.kept,
            smoothing=quantized.smoothing,
            int8_table=int8_table,
        )
    if recipe.target == "cuda":
        model = cuda.build(spec, weights, head, precision=recipe.precision)
    elif recipe.target == "tensorrt":
        model = tensorrt.build(spec, weights, head, precision=recipe.precision, quantized=quantized)
    else:
        model = (ort if recipe.target == "ort" else portable).build(spec, weights, head)
    if int8_table:
        quantize_table(model, whole=recipe.target == "tensorrt")
    if recipe.target in ("cuda", "tensorrt"):
        return model
    if quantized:
        quantize_products(model, quantized.sites)
    if recipe.precision == "fp16":
        to_half(model)
    return model
