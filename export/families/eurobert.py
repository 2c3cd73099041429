"""EuroBERT: LLaMA's pre-norm layer with RMSNorm, rotary positions, a gated feed-forward and grouped key heads, seeing both ways.

Source: transformers' EuroBertModel. `llama_fields` and `llama_sources` serve other families of LLaMA's shape too.
"""

from typing import Any

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import is_classifier, sequence_classifier
from strizh.export.rope import read_rope
from strizh.export.spec import Classifier, EncoderSpec, Layer, Norm, Pooling, Positions
from strizh.export.weights import Source

NAME = "eurobert"
IGNORED = (r"lm_head\..*", r"dense\..*", r"classifier\..*", r"score\..*")  # of language models and classifiers
_CLASSIFIER_POOLINGS = {"bos": Pooling.CLS, "mean": Pooling.MEAN, "late": Pooling.MEAN}


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type == "eurobert"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    return EncoderSpec(**llama_fields(checkpoint), family=NAME, classifier=_classifier(checkpoint))


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    return llama_sources(spec) | bert.pair("classifier.dense", "dense") | bert.pair("classifier.out", "classifier")


def _classifier(checkpoint: Checkpoint) -> Classifier | None:
    """A dense layer and GELU before or after the pooling; before it, where the config does not say."""
    if not is_classifier(checkpoint):
        return None
    config = checkpoint.config
    key = "classifier_pooling" if config.has("classifier_pooling") else "clf_pooling"  # the second as published
    pooling = config.text(key, "late")
    if pooling not in _CLASSIFIER_POOLINGS:
        raise bert.unsupported(config, key, pooling, _CLASSIFIER_POOLINGS)
    return sequence_classifier(checkpoint, _CLASSIFIER_POOLINGS[pooling], "gelu", hidden_of_tokens=pooling == "late")


def llama_fields(checkpoint: Checkpoint) -> dict[str, Any]:
    """The fields of a spec that configs of LLaMA's shape spell alike."""
    config = checkpoint.config
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    shared = config.count("num_key_value_heads", heads)
    if heads % shared:
        raise config.wrong("num_attention_heads", f"a multiple of num_key_value_heads {shared}")
    head = config.count("head_dim") if config.has("head_dim") else bert.head_size(config, hidden, heads)
    limit = config.count("max_position_embeddings")
    attention, mlp = (config.flag(f"{part}_bias") for part in ("attention", "mlp"))
    return {
        "vocab_size": config.count("vocab_size"),
        "hidden_size": hidden,
        "num_heads": heads,
        "num_kv_heads": shared,
        "head_size": head,
        "intermediate_size": config.count("intermediate_size"),
        "layers": (Layer(read_rope(config, head, limit)),) * bert.layer_count(config),
        "positions": Positions.ROTARY,
        "max_positions": limit,
        "position_offset": 0,
        "pad_token_id": bert.pad_token_id(checkpoint),
        "activation": bert.activation(config, "hidden_act", "silu"),
        "gated_mlp": True,
        "norm": Norm.RMS,
        "norm_eps": config.positive("rms_norm_eps"),
        "pre_norm": True,
        "embedding_norm": False,
        "final_norm": True,
        "attention_scale": head**-0.5,
        "attention_bias": (attention,) * 4,
        "mlp_bias": (mlp, mlp),
    }


def llama_sources(spec: EncoderSpec) -> dict[str, Source]:
    """The slots under the names that LLaMA gave them."""
    names = {"embeddings.word": "embed_tokens.weight", "final_norm.weight": "norm.weight"}
    for index in range(len(spec.layers)):
        at = f"layers.{index}"
        for part in ("weight", "bias"):
            for side in "qkvo":
                names[f"{at}.attention.{side}.{part}"] = f"{at}.self_attn.{side}_proj.{part}"
            for side in ("gate", "up", "down"):
                names[f"{at}.mlp.{side}.{part}"] = f"{at}.mlp.{side}_proj.{part}"
        for side in "qk":
            names[f"{at}.attention.{side}_norm.weight"] = f"{at}.self_attn.{side}_norm.weight"
        names[f"{at}.attention.norm.weight"] = f"{at}.input_layernorm.weight"
        names[f"{at}.mlp.norm.weight"] = f"{at}.post_attention_layernorm.weight"
    return {slot: Source((name,)) for slot, name in names.items()}
