"""The published encoders' shapes, as their config.json states them: every family at its real size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Published:
    """`names` are the checkpoints of this shape; `config` goes to transformers' configuration of `model_type`."""

    family: str
    names: tuple[str, ...]
    model_type: str
    config: Mapping[str, Any]
    pooling: str = "mean"
    dense: bool = False  # a Dense module with tanh behind the pooling
    half: bool = False  # weights published in float16


def _bert(vocabulary: int, hidden: int, layers: int, heads: int, inner: int, **other: Any) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        **other,
    }


def _xlm_roberta(vocabulary: int, *shape: int, positions: int = 514) -> dict[str, Any]:
    ids: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    return _bert(
        vocabulary, *shape, max_position_embeddings=positions, type_vocab_size=1, layer_norm_eps=1e-5, **ids
    )  # fmt: skip


def _modernbert(vocabulary: int, *shape: int, local_theta: float = 10000.0) -> dict[str, Any]:
    thetas = {"full_attention": 160000.0, "sliding_attention": local_theta}
    ropes = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in thetas.items()}
    return _bert(vocabulary, *shape, max_position_embeddings=8192, pad_token_id=1, rope_parameters=ropes)


def _gte(vocabulary: int, rope: Mapping[str, Any]) -> dict[str, Any]:
    return _bert(
        vocabulary, *_BASE, max_position_embeddings=8192, type_vocab_size=1, pad_token_id=1, rope_parameters=rope
    )


_EUROBERT: dict[str, Any] = {"rope_parameters": {"rope_type": "default", "rope_theta": 250000.0}}
_QWEN3: dict[str, Any] = {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}}
_BASE, _LARGE = (768, 12, 12, 3072), (1024, 24, 16, 4096)
_FRIDA = {
    "vocab_size": 93651,
    "d_model": 1536,
    "d_kv": 64,
    "num_heads": 24,
    "num_layers": 24,
    "d_ff": 4096,
    "feed_forward_proj": "gated-gelu",
}
_USER_BASE: dict[str, Any] = {"type_vocab_size": 0, "max_position_embeddings": 512, "layer_norm_eps": 1e-7}
_MDEBERTA: dict[str, Any] = {
    "type_vocab_size": 0,
    "max_position_embeddings": 512,
    "layer_norm_eps": 1e-7,
    "position_buckets": 256,
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}
_LABSE = ("cointegrated/LaBSE-en-ru", "sergeyzh/LaBSE-ru-sts", "sergeyzh/LaBSE-ru-turbo", "sergeyzh/BERTA")
_XLM_R_BASE = (
    "intfloat/multilingual-e5-base",
    "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
    "symanto/sn-xlm-roberta-base-snli-mnli-anli-xnli",
)
_E5_LARGE = "intfloat/multilingual-e5-large"

# name of the shape -> what has it
PUBLISHED: dict[str, Published] = {
    "ruRoPEBert-e5-base": Published(
        "RoPEBert", ("Tochka-AI/ruRoPEBert-e5-base-2k", "Tochka-AI/ruRoPEBert-e5-base-512"), "rope_bert",
        _bert(69382, *_BASE, max_position_embeddings=2048, type_vocab_size=1, pad_token_id=1),
    ),
    "ruRoPEBert-classic-base": Published(
        "RoPEBert", ("Tochka-AI/ruRoPEBert-classic-base-512", "Tochka-AI/ruRoPEBert-classic-base-2k"), "rope_bert",
        _bert(120138, *_BASE, max_position_embeddings=512, type_vocab_size=2, pad_token_id=0),
    ),
    "rubert-mini": Published(
        "BERT", ("sergeyzh/rubert-mini-frida", "sergeyzh/rubert-mini-sts"), "bert",
        _bert(83828, 312, 7, 12, 600, max_position_embeddings=2048),
    ),
    "LaBSE-en-ru": Published("BERT", _LABSE, "bert", _bert(55083, *_BASE), pooling="cls", dense=True),
    "multilingual-e5-small": Published(
        "BERT", ("intfloat/multilingual-e5-small",), "bert", _bert(250037, 384, 12, 12, 1536)
    ),
    "USER-base": Published(
        "DeBERTa-v1", ("deepvk/USER-base", "deepvk/deberta-v1-base"), "deberta", _bert(50265, *_BASE, **_USER_BASE)
    ),
    "mdeberta-v3-base": Published(
        "DeBERTa-v2", ("microsoft/mdeberta-v3-base",), "deberta-v2", _bert(251000, *_BASE, **_MDEBERTA)
    ),
    "multilingual-e5-base": Published("XLM-RoBERTa", _XLM_R_BASE, "xlm-roberta", _xlm_roberta(250002, *_BASE)),
    "ru-e5-base": Published("XLM-RoBERTa", ("hivaze/ru-e5-base",), "xlm-roberta", _xlm_roberta(69382, *_BASE)),
    "multilingual-e5-large": Published("XLM-RoBERTa", (_E5_LARGE,), "xlm-roberta", _xlm_roberta(250002, *_LARGE)),
    "multilingual-e5-large-instruct": Published(
        "XLM-RoBERTa", (f"{_E5_LARGE}-instruct",), "xlm-roberta", _xlm_roberta(250002, *_LARGE), half=True
    ),
    "bge-m3": Published(
        "XLM-RoBERTa", ("BAAI/bge-m3",), "xlm-roberta", _xlm_roberta(250002, *_LARGE, positions=8194), pooling="cls"
    ),
    "USER-bge-m3": Published(
        "XLM-RoBERTa", ("deepvk/USER-bge-m3", "TatonkaHF/bge-m3_en_ru"), "xlm-roberta",
        _xlm_roberta(46166, *_LARGE, positions=8194), pooling="cls",
    ),
    "FRIDA": Published("T5 encoder", ("ai-forever/FRIDA",), "t5", _FRIDA, pooling="cls"),
    "USER2-base": Published(
        "ModernBERT", ("deepvk/USER2-base", "deepvk/RuModernBERT-base", "answerdotai/ModernBERT-base"), "modernbert",
        _modernbert(50368, 768, 22, 12, 1152),
    ),
    "USER2-small": Published(
        "ModernBERT", ("deepvk/USER2-small", "deepvk/RuModernBERT-small"), "modernbert",
        _modernbert(50368, 384, 12, 6, 576),
    ),
    "mmBERT-base": Published(
        "ModernBERT", ("jhu-clsp/mmBERT-base",), "modernbert", _modernbert(256000, 768, 22, 12, 1152, local_theta=160000.0)
    ),
    "nomic-embed-text": Published(
        "NomicBERT", ("nomic-ai/nomic-embed-text-v1.5", "nomic-ai/nomic-embed-text-v1"), "nomic_bert",
        _bert(30528, *_BASE, max_position_embeddings=2048),
    ),
    # Its fixed NTK of factor 8 as transformers can be told it: theta * 8, and frequencies less by 8 ** (2 / 64).
    "gte-multilingual-base": Published(
        "GTE", ("Alibaba-NLP/gte-multilingual-base",), "gte",
        _gte(250048, {"rope_type": "linear", "rope_theta": 160000.0, "factor": 8 ** (2 / 64)}), pooling="cls",
    ),
    "snowflake-arctic-embed-m-v2.0": Published(
        "GTE", ("Snowflake/snowflake-arctic-embed-m-v2.0",), "gte",
        _gte(250048, {"rope_type": "default", "rope_theta": 160000.0}), pooling="cls",
    ),
    "jina-embeddings-v3": Published(
        "jina-embeddings-v3", ("jinaai/jina-embeddings-v3",), "jina_embeddings_v3",
        _bert(250002, *_LARGE, max_position_embeddings=8194, type_vocab_size=1, pad_token_id=1),
    ),
    "EuroBERT-210m": Published(
        "EuroBERT", ("EuroBERT/EuroBERT-210m",), "eurobert",
        _bert(128256, *_BASE, num_key_value_heads=12, max_position_embeddings=8192, **_EUROBERT),
    ),
    "Qwen3-Embedding-0.6B": Published(
        "Qwen3", ("Qwen/Qwen3-Embedding-0.6B",), "qwen3",
        _bert(151669, 1024, 28, 16, 3072, num_key_value_heads=8, head_dim=128, max_position_embeddings=32768, **_QWEN3),
        pooling="lasttoken",
    ),
}  # fmt: skip
