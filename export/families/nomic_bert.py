"""NomicBERT: nomic-embed-text. BERT's post-norm block with rotary positions and a gated feed-forward without biases.

The published configs spell their fields as GPT-2 does, transformers 5 as BERT does; the tensors have the same names in
both, where fc11 is multiplied by the activation of fc12 (source: transformers' NomicBertModel and its conversion mapping).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import sequence_classifier
from strizh.export.rope import read_rope
from strizh.export.spec import EncoderSpec, Layer, Pooling, Positions
from strizh.export.weights import Source, block
from strizh.runtime.errors import UnsupportedModel

NAME = "nomic_bert"
IGNORED = bert.IGNORED

_THETA = 1000.0
_BERT_NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
    "rotary_emb_base": "rope_theta",
}
_GATED = {"swiglu": "silu", "geglu": "gelu"}
# Other values of these fields make another architecture.
_FIXED = {"prenorm": False, "rotary_emb_interleaved": False, "rotary_emb_fraction": 1.0, "use_rms_norm": False}


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.config.get("model_type") == "nomic_bert"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    config = _spelled_as_bert(checkpoint.config)
    checkpoint = dataclasses.replace(checkpoint, config=config)
    shape = bert.geometry(checkpoint)
    limit = checkpoint.count("max_position_embeddings")
    trained = int(config.get("max_trained_positions") or limit)
    return EncoderSpec(
        **shape,
        family=NAME,
        positions=Positions.ROTARY,
        max_positions=limit,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(read_rope(config, shape["head_size"], trained, _THETA)),) * checkpoint.count("num_hidden_layers"),
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


def _spelled_as_bert(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config under BERT's names; raises where it is not the architecture of nomic-embed-text-v1 and v1.5."""
    other = {key: config[key] for key, usual in _FIXED.items() if config.get(key, usual) != usual}
    function = config.get("activation_function")
    if function and function not in _GATED:
        other["activation_function"] = function
    if config.get("num_experts"):
        other["num_experts"] = config["num_experts"]
    if other:
        raise UnsupportedModel(
            f"config.json is a NomicBERT's with {', '.join(f'{key}: {value}' for key, value in other.items())}; strizh knows "
            f"post-norm, whole rotary heads, {' or '.join(_GATED)}, and no experts. Export with --method trace."
        )
    found = {_BERT_NAMES.get(key, key): value for key, value in config.items()}
    if function:
        found["hidden_act"] = _GATED[function]
    if config.get("rotary_scaling_factor"):
        found["rope_scaling"] = {"type": "dynamic", "factor": config["rotary_scaling_factor"]}
    return found
