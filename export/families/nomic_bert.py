"""NomicBERT: nomic-embed-text. BERT's post-norm block with rotary positions and a gated feed-forward without biases.

The published configs spell their fields as GPT-2 does, transformers 5 as BERT does; the tensors have the same names in
both, where fc11 is multiplied by the activation of fc12 (source: transformers' NomicBertModel and its conversion mapping).
"""

import dataclasses

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import sequence_classifier
from strizh.export.rope import read_rope
from strizh.export.settings import Settings
from strizh.export.spec import Activation, EncoderSpec, Layer, Pooling, Positions, Rope, Scaling
from strizh.export.weights import Source, block
from strizh.runtime.errors import UnsupportedModel

NAME = "nomic_bert"
IGNORED = bert.IGNORED

_THETA = 1000.0
_NAMES = {  # BERT's -> the hub's
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
    "layer_norm_eps": "layer_norm_epsilon",
    "rope_theta": "rotary_emb_base",
}
_GATED = {"swiglu": Activation.SILU, "geglu": Activation.GELU}
# Other values of these fields make another architecture.
_FIXED = {"prenorm": False, "rotary_emb_interleaved": False, "rotary_emb_fraction": 1.0, "use_rms_norm": False}


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type == "nomic_bert"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    config = _spelled_as_bert(checkpoint.config)
    checkpoint = dataclasses.replace(checkpoint, config=config)
    shape = bert.geometry(config) | _activation(config)
    limit = config.count("max_position_embeddings")
    return EncoderSpec(
        **shape,
        family=NAME,
        positions=Positions.ROTARY,
        max_positions=limit,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(_rope(config, shape["head_size"], limit)),) * bert.layer_count(config),
        gated_mlp=True,
        attention_bias=(False,) * 4,
        mlp_bias=(False, False),
        classifier=sequence_classifier(checkpoint, Pooling.FIRST_TOKEN_TRANSFORM),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    found = {
        "embeddings.word": Source(
            ("embeddings.word_embeddings.weight", *bert.token_types(checkpoint)), bert.add_first_row
        )
    }
    for index in range(len(spec.layers)):
        slot, name = f"layers.{index}", f"encoder.layers.{index}"
        for number, side in enumerate("qkv"):
            found[f"{slot}.attention.{side}.weight"] = Source((f"{name}.attn.Wqkv.weight",), block(number, 3))
        found[f"{slot}.attention.o.weight"] = Source((f"{name}.attn.out_proj.weight",))
        for side, stored in (("gate", "fc12"), ("up", "fc11"), ("down", "fc2")):
            found[f"{slot}.mlp.{side}.weight"] = Source((f"{name}.mlp.{stored}.weight",))
        found |= bert.pair(f"{slot}.attention.norm", f"{name}.norm1") | bert.pair(f"{slot}.mlp.norm", f"{name}.norm2")
    return found | bert.pair("embeddings.norm", "emb_ln") | bert.head_sources()


def _spelled_as_bert(config: Settings) -> Settings:
    """The config under BERT's names; raises where it is not the architecture of nomic-embed-text-v1 and v1.5."""
    other = config.other_than(_FIXED)
    if config.text("activation_function", "swiglu") not in _GATED:
        other["activation_function"] = config.text("activation_function")
    if config.index("num_experts", 0):
        other["num_experts"] = config.index("num_experts")
    if other:
        raise UnsupportedModel(
            f"{config.at} is a NomicBERT's with {', '.join(f'{key}: {value}' for key, value in other.items())}; strizh knows "
            f"post-norm, whole rotary heads, {' or '.join(_GATED)}, and no experts. Export with --method trace."
        )
    return dataclasses.replace(config, spelled={usual: name for usual, name in _NAMES.items() if config.has(name)})


def _activation(config: Settings) -> dict[str, Activation]:
    """What the hub's spelling says of the gate; nothing in transformers' own, which is BERT's."""
    return {"activation": _GATED[config.text("activation_function")]} if config.has("activation_function") else {}


def _rope(config: Settings, head_size: int, limit: int) -> Rope:
    """A factor by itself is the hub's spelling of dynamic scaling."""
    rope = read_rope(config, head_size, config.count("max_trained_positions", limit), _THETA)
    if (factor := config.positive("rotary_scaling_factor", 1.0)) < 1:
        raise config.wrong("rotary_scaling_factor", "a factor of at least 1")
    return dataclasses.replace(rope, scaling=Scaling.DYNAMIC, factor=factor) if factor > 1 else rope
