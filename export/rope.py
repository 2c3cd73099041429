"""Rotary settings from a config: `rope_scaling`, `rope_parameters`, and the flag of the command line."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from strizh.export.spec import EncoderSpec, Rope, Scaling
from strizh.runtime.errors import CheckpointError, UnsupportedModel, UsageError

_KINDS = {"default": Scaling.NONE, "none": Scaling.NONE, "linear": Scaling.LINEAR, "dynamic": Scaling.DYNAMIC}


def read_rope(config: Mapping[str, Any], dim: int, trained_positions: int, theta: float = 10000.0) -> Rope:
    """The rope of a config, in the spelling of transformers 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`)."""
    parameters = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling") or parameters
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind not in _KINDS:
        raise UnsupportedModel(f"config.json has RoPE scaling {kind!r}; known: {', '.join(_KINDS)}.")
    factor = float(scaling.get("factor") or 1.0)
    if _KINDS[kind] is not Scaling.NONE and factor <= 1.0:
        raise CheckpointError(f"config.json has RoPE scaling {kind!r} with factor {factor}; expected a factor above 1.")
    base = config.get("rope_theta", parameters.get("rope_theta", scaling.get("rope_theta", theta)))
    return Rope(float(base), dim, _KINDS[kind], factor, trained_positions)


def parse_scaling(text: str) -> tuple[Scaling, float]:
    """`none`, `linear:4.0` or `dynamic:2.0`."""
    kind, _, factor = text.partition(":")
    if kind == "none" and not factor:
        return Scaling.NONE, 1.0
    try:
        number = float(factor)
    except ValueError:
        number = 0.0
    if kind not in ("linear", "dynamic") or not 1.0 < number < float("inf"):
        raise UsageError(f"RoPE scaling {text!r} is not known; expected none, linear:F or dynamic:F with F above 1.")
    return Scaling(kind), number


def rescale(spec: EncoderSpec, scaling: Scaling, factor: float) -> EncoderSpec:
    """The same encoder with every rotary layer scaled otherwise; raises if it has none."""
    if not any(layer.rope for layer in spec.layers):
        raise UsageError(
            f"--rope-scaling is for rotary models; family {spec.family!r} has learned positions. Leave it out."
        )
    return dataclasses.replace(
        spec,
        layers=tuple(
            dataclasses.replace(
                layer, rope=layer.rope and dataclasses.replace(layer.rope, scaling=scaling, factor=factor)
            )
            for layer in spec.layers
        ),
    )


def reach(spec: EncoderSpec) -> float:
    """Longest text in tokens that the positions were made for, scaling counted."""
    # NTK's fixed form is how the model was trained, so that it stretches nothing.
    factors = [rope.factor for rope in spec.ropes if rope.scaling is not Scaling.NTK]
    return spec.max_positions * max(factors, default=1.0)
