"""Rotary settings from a config: `rope_scaling`, `rope_parameters`, and the flag of the command line."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from strizh.export.settings import Settings
from strizh.export.spec import EncoderSpec, Rope, Scaling
from strizh.runtime.errors import CheckpointError, UnsupportedModel, UsageError

_MOST_FACTOR = 1e6  # the angles of a larger one would leave float32
_KINDS = {"default": Scaling.NONE, "none": Scaling.NONE, "linear": Scaling.LINEAR, "dynamic": Scaling.DYNAMIC}


def read_rope(
    config: Settings,
    dim: int,
    trained_positions: int,
    theta: float = 10000.0,
    own_kinds: Mapping[str, Scaling] = MappingProxyType({}),
) -> Rope:
    """The rope of a config, in the spelling of transformers 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`).

    `own_kinds`: names of a scaling that only this family has.
    """
    parameters, scaling = config.section("rope_parameters"), config.section("rope_scaling")
    base = config.positive("rope_theta", parameters.positive("rope_theta", scaling.positive("rope_theta", theta)))
    return rope_of(scaling if scaling.fields else parameters, dim, trained_positions, base, own_kinds)


def rope_of(
    scaling: Settings,
    dim: int,
    trained_positions: int,
    theta: float,
    own_kinds: Mapping[str, Scaling] = MappingProxyType({}),
) -> Rope:
    """The rope of a theta and a config's object of scaling, which may be empty; `own_kinds` as in `read_rope`."""
    kinds = {**_KINDS, **own_kinds}
    key = "rope_type" if scaling.has("rope_type") else "type"
    kind = scaling.text(key, "default")
    if kind not in kinds:
        raise UnsupportedModel(
            f"{scaling.at} has {key} {kind!r}, an unknown RoPE scaling; expected one of {', '.join(kinds)}. "
            "Export with --method trace (portable-fp32 only)."
        )
    if dim % 2 or dim < 4:
        raise CheckpointError(
            f"the heads have {dim} numbers (hidden_size / num_attention_heads in config.json, or head_dim), which rotary "
            "positions cannot turn in pairs; expected an even number of at least 4. Compare them with the published ones."
        )
    factor = scaling.positive("factor", 1.0)
    if kinds[kind] is not Scaling.NONE and not 1.0 < factor <= _MOST_FACTOR:
        raise scaling.wrong("factor", f"a number above 1 and at most {_MOST_FACTOR:g} for RoPE scaling {kind!r}")
    return Rope(theta, dim, kinds[kind], factor, trained_positions)


def parse_scaling(text: str) -> tuple[Scaling, float]:
    """`none`, `linear:4.0` or `dynamic:2.0`."""
    if text == "none":
        return Scaling.NONE, 1.0
    kind, _, factor = text.partition(":")
    try:
        number = float(factor)
    except ValueError:
        number = 0.0
    if kind not in ("linear", "dynamic") or not 1.0 < number <= _MOST_FACTOR:
        raise UsageError(
            f"RoPE scaling {text!r} is not known; expected none, linear:F or dynamic:F with F above 1 and at most "
            f"{_MOST_FACTOR:g}."
        )
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
