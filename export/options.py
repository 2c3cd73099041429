"""What the user may change about a checkpoint, applied to its spec."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from strizh.export.checkpoint import Checkpoint
from strizh.export.rope import parse_scaling, reach, rescale
from strizh.export.settings import read_settings
from strizh.export.spec import EncoderSpec, Pooling, Positions, Projection, Scaling
from strizh.export.tensors import open_tensors
from strizh.export.token_heads import read_token_heads, with_token_heads
from strizh.export.weights import Array
from strizh.runtime.errors import CheckpointError, UnsupportedModel, UsageError
from strizh.runtime.manifest import Manifest

_MOST_TOKENS = 2**31 - 1
_DENSE_ACTIVATIONS = {"Identity": "identity", "Tanh": "tanh", "ReLU": "relu", "Sigmoid": "sigmoid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """None means the checkpoint's own."""

    rope_scaling: str | None = None
    ntk_length: str = "text"
    pooling: str | None = None
    normalize: bool | None = None
    max_length: int | None = None

    @classmethod
    def of(cls, manifest: Manifest, described: EncoderSpec) -> "Options":
        """What a bundle was exported with beyond its checkpoint's description, so that it can be planned again."""
        layers = manifest.spec["layers"]
        rope, own = layers[0]["rope"] if layers else None, described.layers[0].rope if described.layers else None
        rescaled = None
        if rope and own and (rope["scaling"], rope["factor"]) != (own.scaling, own.factor):
            rescaled = rope["scaling"] + ("" if rope["scaling"] == Scaling.NONE else f":{rope['factor']}")
        return cls(
            rope_scaling=rescaled,
            ntk_length=manifest.spec["ntk_length"],
            pooling=manifest.pooling,
            normalize=manifest.normalize,
            max_length=manifest.max_length,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The spec to export, its longest text in tokens, tensors of Dense modules and token heads by slot, and warnings."""

    spec: EncoderSpec
    max_length: int
    dense: dict[str, Array]
    warnings: tuple[str, ...]


def plan(checkpoint: Checkpoint, described: EncoderSpec, options: Options) -> Plan:
    """Modules and options over the family's description. Raises `UsageError` for an option that cannot be."""
    modules = checkpoint.modules
    projections, dense = _projections(checkpoint)
    heads = read_token_heads(checkpoint.folder, described.hidden_size)
    described = with_token_heads(described, heads, checkpoint.tokenizer)
    spec = dataclasses.replace(
        described,
        pooling=_pooling(options.pooling) or modules.pooling or described.pooling,
        projections=projections,
        normalize=modules.normalize if options.normalize is None else options.normalize,
    )
    if options.rope_scaling is not None:
        spec = rescale(spec, *parse_scaling(options.rope_scaling))
    if options.ntk_length not in ("text", "batch"):
        raise UsageError(f"ntk_length is {options.ntk_length!r}; expected 'text' or 'batch'.")
    dynamic = any(layer.rope and layer.rope.scaling is Scaling.DYNAMIC for layer in spec.layers)
    if options.ntk_length == "batch":
        if not dynamic:
            raise UsageError("--ntk-length batch is for dynamic RoPE scaling, which this model has not. Leave it out.")
        spec = dataclasses.replace(spec, ntk_length="batch")
    limit, warnings = _limit(checkpoint, spec, options.max_length)
    if spec.pad_token_id >= spec.vocab_size or checkpoint.tokenizer.vocab_size > spec.vocab_size:
        raise CheckpointError(
            f"the tokenizer has {checkpoint.tokenizer.vocab_size} tokens (pad {spec.pad_token_id}) and the embedding table "
            f"{spec.vocab_size} rows. Expected a row for every token: the tokenizer belongs to another model."
        )
    return Plan(spec, limit, dense | heads, warnings)


def _pooling(name: str | None) -> tuple[Pooling, ...] | None:
    if name is None:
        return None
    unknown = [mode for mode in name.split("+") if mode not in set(Pooling)]
    if unknown:
        raise UsageError(
            f"pooling {unknown[0]!r} is not known; expected one of {', '.join(Pooling)}, or several with +."
        )
    return tuple(Pooling(mode) for mode in name.split("+"))


def _limit(checkpoint: Checkpoint, spec: EncoderSpec, asked: int | None) -> tuple[int, tuple[str, ...]]:
    made_for = math.floor(min(reach(spec), _MOST_TOKENS))
    if asked is None:
        stated = checkpoint.modules.max_seq_length
        asked = stated or min(checkpoint.tokenizer.max_length or made_for, made_for)
    if asked <= (special := checkpoint.tokenizer.special_tokens):
        raise UsageError(
            f"max_length is {asked}; expected at least {special + 1}, for {special} special tokens and a text."
        )
    if asked <= made_for:
        return asked, ()
    if asked > _MOST_TOKENS:
        raise UsageError(f"max_length is {asked}; expected at most {_MOST_TOKENS}, the largest 32-bit number.")
    if spec.positions not in (Positions.ROTARY, Positions.RELATIVE_BIAS, Positions.DISENTANGLED):
        raise UsageError(
            f"max_length {asked} is beyond the {made_for} positions that this model has learned. Use {made_for} or less."
        )
    way_out = " --rope-scaling dynamic:F stretches them." if spec.ropes else ""
    return asked, (
        f"max_length {asked} is beyond the {made_for} tokens that the positions were made for: quality on longer texts is "
        f"not known.{way_out}",
    )


def _projections(checkpoint: Checkpoint) -> tuple[tuple[Projection, ...], dict[str, Array]]:
    projections, tensors = [], {}
    for index, folder in enumerate(checkpoint.modules.dense):
        config = read_settings(folder / "config.json")
        store = open_tensors(folder)
        function = config.text("activation_function", "Identity").rsplit(".", 1)[-1]
        if function not in _DENSE_ACTIVATIONS:
            raise UnsupportedModel(f"{folder} has activation {function!r}; known: {', '.join(_DENSE_ACTIVATIONS)}.")
        sizes = config.count("in_features"), config.count("out_features")
        bias = config.flag("bias", True)
        expected = {"linear.weight": sizes[::-1]} | ({"linear.bias": sizes[1:]} if bias else {})
        if store.shapes != expected:
            raise CheckpointError(
                f"the weights of {folder} are {store.shapes}, expected {expected}. Download it again."
            )
        projections.append(Projection(*sizes, bias, _DENSE_ACTIVATIONS[function]))
        for name in expected:
            tensors[f"projections.{index}.{name.removeprefix('linear.')}"] = store[name].astype(np.float32)
    return tuple(projections), tensors
