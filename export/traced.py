"""`--method trace`: an encoder without a family, as the portable graph that PyTorch itself traces. Needs the extra `trace`."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import FAMILIES
from strizh.export.graphs import variant_of
from strizh.export.options import Options, Plan
from strizh.export.recipes import PORTABLE_FP32, Recipe
from strizh.export.spec import Activation, EncoderSpec, Positions
from strizh.export.write import external_data, write_model
from strizh.runtime.errors import UnsupportedModel, UsageError
from strizh.runtime.manifest import Variant


def describe(checkpoint: Checkpoint, max_length: int | None) -> EncoderSpec:
    """The family's spec where there is one; else what the config says of sizes, and no layers: the graph knows them.

    `max_length` counts where the checkpoint does not say how long a text may be; `UsageError` if that is None too.
    """
    family = next((family for family in FAMILIES if family.matches(checkpoint)), None)
    if family:
        # A family may know the checkpoint and refuse to build it: then tracing is the way that its message names.
        with suppress(UnsupportedModel):
            return family.describe(checkpoint)
    config = checkpoint.config
    stated = checkpoint.tokenizer.max_length or checkpoint.modules.max_seq_length or max_length
    if not (stated or config.has("max_position_embeddings")):
        raise UsageError("neither config.json nor the tokenizer says how long a text may be. Give --max-length.")
    hidden = next((key for key in ("hidden_size", "dim") if config.has(key)), "d_model")
    return EncoderSpec(
        family=f"traced {checkpoint.model_type}",
        vocab_size=config.count("vocab_size"),
        hidden_size=config.count(hidden),
        num_heads=0,
        num_kv_heads=0,
        head_size=0,
        intermediate_size=0,
        layers=(),
        positions=Positions.NONE,
        max_positions=config.count("max_position_embeddings", stated),
        position_offset=0,
        pad_token_id=checkpoint.tokenizer.pad_token_id or 0,
        activation=Activation.GELU,
        norm_eps=0.0,
        attention_scale=0.0,
    )


def summary(spec: EncoderSpec) -> dict[str, Any]:
    """What the manifest may say of a traced encoder: only what is known."""
    known = (
        "family",
        "vocab_size",
        "hidden_size",
        "max_positions",
        "pad_token_id",
        "ntk_length",
        "pooling",
        "normalize",
    )
    return {name: value for name, value in spec.to_json().items() if name in known} | {"layers": []}


def check_recipes(recipes: Sequence[Recipe]) -> None:
    """Only `portable-fp32` can be traced."""
    if list(recipes) != [PORTABLE_FP32]:
        raise UsageError(f"--method trace gives {PORTABLE_FP32.name} only. Leave the other variants out.")


def write_traced(
    folder: Path, checkpoint: Checkpoint, planned: Plan, options: Options, step: Callable[[str], None]
) -> Variant:
    """Trace, check and write the one variant there is."""
    from strizh.export.trace import trace_model

    spec = planned.spec
    if spec.sparse is not None or spec.multi_vector:
        raise UsageError("sparse and ColBERT heads are not traced. Remove their .pt files, or use --method build.")
    step("tracing")
    model = trace_model(
        checkpoint.modules.encoder,
        pooling=spec.pooling,
        projections=spec.projections,
        dense=planned.dense,
        normalize=spec.normalize,
        rope_scaling=options.rope_scaling,
        ntk_length=spec.ntk_length,
    )
    step("writing")
    graph = folder / PORTABLE_FP32.file
    data = external_data(graph, model, wanted=False)
    write_model(model, graph, data)
    return variant_of(PORTABLE_FP32, {"method": "torch.onnx.export"}, data)
