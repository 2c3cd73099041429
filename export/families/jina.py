"""jina-embeddings-v3: XLM-RoBERTa's block with rotary positions, and an adapter of low rank for each task.

It calls itself `xlm-roberta`; what tells it apart is `position_embedding_type: rotary`. Every weight of the published
checkpoint is stored as `parametrizations.weight.original` with factors A and B of each task beside it, and a task's weight is
original + B A * lora_alpha / lora_rank (A B for the embeddings, which are stored the other way round). The task is merged at
export; without one the weights are the general ones, as in the published module. transformers 5 calls the model without
adapters `jina_embeddings_v3` (source: the published modeling_lora.py; transformers' conversion mapping).
"""

from collections.abc import Callable

import numpy as np

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import sequence_classifier
from strizh.export.rope import read_rope
from strizh.export.spec import EncoderSpec, Layer, Pooling, Positions
from strizh.export.weights import Array, Source, block

NAME = "jina-embeddings-v3"
IGNORED = (*bert.IGNORED, r"pooler\..*", r".*\.lora_[AB]")

_THETA = 20000.0
_PARTS = {
    "attention.o": "mixer.out_proj",
    "attention.norm": "norm1",
    "mlp.up": "mlp.fc1",
    "mlp.down": "mlp.fc2",
    "mlp.norm": "norm2",
}


def matches(checkpoint: Checkpoint) -> bool:
    kind = checkpoint.model_type
    rotary = kind == "xlm-roberta" and checkpoint.config.text("position_embedding_type", "") == "rotary"
    return rotary or kind == "jina_embeddings_v3"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    config = checkpoint.config
    shape = bert.geometry(config, norm_eps=1e-5)
    limit = config.count("max_position_embeddings")
    rope = read_rope(config, shape["head_size"], limit, config.positive("rotary_emb_base", _THETA))
    return EncoderSpec(
        **shape,
        family=NAME,
        positions=Positions.ROTARY,
        max_positions=limit,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(rope),) * bert.layer_count(config),
        classifier=sequence_classifier(checkpoint, Pooling.CLS, "tanh"),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    found = {"embeddings.word": _words(checkpoint)} | bert.pair("embeddings.norm", "emb_ln") | bert.head_sources()
    found |= bert.pair("classifier.dense", "classifier.dense") | bert.pair("classifier.out", "classifier.out_proj")
    for index in range(len(spec.layers)):
        slot, name = f"layers.{index}", f"encoder.layers.{index}"
        for part in ("weight", "bias"):
            fused = _stored(checkpoint, f"{name}.mixer.Wqkv.{part}")
            for number, side in enumerate("qkv"):
                found[f"{slot}.attention.{side}.{part}"] = _then(fused, block(number, 3))
            for inner, stored in _PARTS.items():
                found[f"{slot}.{inner}.{part}"] = _stored(checkpoint, f"{name}.{stored}.{part}")
    return found


def _words(checkpoint: Checkpoint) -> Source:
    """The word table with the one token type in it."""
    words = _stored(checkpoint, "embeddings.word_embeddings.weight")
    if not checkpoint.config.index("type_vocab_size", 0):
        return words
    types = _stored(checkpoint, "embeddings.token_type_embeddings.weight")
    count = len(words.names)

    def both(*tensors: Array) -> Array:
        return bert.add_first_row(words.combine(*tensors[:count]), types.combine(*tensors[count:]))

    return Source((*words.names, *types.names), both)


def _stored(checkpoint: Checkpoint, name: str) -> Source:
    """A tensor as it is used: by itself, or the original with its task's factors."""
    stem = f"{name.removesuffix('weight')}parametrizations.weight"
    if not name.endswith(".weight") or f"{stem}.original" not in checkpoint.names:
        return Source((name,))
    if checkpoint.task is None:
        return Source((f"{stem}.original",))
    task = checkpoint.tasks.index(checkpoint.task)
    scale = checkpoint.config.positive("lora_alpha") / checkpoint.config.positive("lora_rank")
    inward = name.startswith("embeddings.")

    def merge(original: Array, a: Array, b: Array) -> Array:
        factors = (a[task], b[task]) if inward else (b[task], a[task])
        return np.asarray(original + np.matmul(*factors) * np.float32(scale))

    return Source((f"{stem}.original", f"{stem}.0.lora_A", f"{stem}.0.lora_B"), merge)


def _then(source: Source, change: Callable[[Array], Array]) -> Source:
    return Source(source.names, lambda *tensors: change(source.combine(*tensors)))
