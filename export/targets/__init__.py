"""The engines a graph is written for, one a file."""

from collections.abc import Mapping
from typing import Protocol

import onnx

from strizh.export.recipes import Recipe
from strizh.export.spec import EncoderSpec
from strizh.export.targets import cpu, cuda, ort, portable
from strizh.export.targets.portable import Head
from strizh.export.weights import Array


class Build(Protocol):
    """What a target file provides."""

    def __call__(self, spec: EncoderSpec, weights: Mapping[str, Array], head: Head = "embedding") -> onnx.ModelProto:
        """The graph of a spec; raises `UnsupportedModel` for a spec that the target cannot express."""


_BUILDERS: dict[str, Build] = {"portable": portable.build, "ort": ort.build}


def build(recipe: Recipe, spec: EncoderSpec, weights: Mapping[str, Array], head: Head) -> onnx.ModelProto:
    """The graph of a variant."""
    if recipe.target == "cpu":
        return cpu.build(spec, weights, head, precision=recipe.precision)
    if recipe.target == "cuda":
        return cuda.build(spec, weights, head, precision=recipe.precision)
    return _BUILDERS[recipe.target](spec, weights, head)
