"""`trace_model`: a portable-fp32 graph of any encoder that transformers knows, by `torch.onnx.export`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from strizh.export.spec import Pooling, Projection, Scaling
from strizh.export.trace.check import check
from strizh.export.trace.load import load_encoder
from strizh.export.trace.onnx_export import to_onnx
from strizh.export.trace.sentence import SentenceEncoder
from strizh.export.weights import Array

_CHECKED_LENGTH = 257  # past the local windows of the encoders that have them


def trace_model(
    folder: Path,
    *,
    pooling: Sequence[Pooling] = (Pooling.MEAN,),
    projections: Sequence[Projection] = (),
    dense: Mapping[str, Array] | None = None,
    normalize: bool = False,
    rope_scaling: str | None = None,
    ntk_length: str = "text",
) -> onnx.ModelProto:
    """Trace the encoder in `folder` (config.json and weights) with pooling, projections and normalisation inside.

    `pooling` modes are concatenated; FIRST_TOKEN_TRANSFORM means the model's own pooler. `dense` holds the tensors of
    `projections` by slot, as the spec names them. `rope_scaling` ("none", "linear:F", "dynamic:F") and `ntk_length`
    ("text" or "batch") are for RoPEBert, which is loaded with the project's own module; any other model is loaded by
    transformers with its own code, never with the checkpoint's.

    Returns a float32 model in memory: opset 18, IR version 8, standard operators only, all weights as raw data in the
    initialisers (none unused, none external). Inputs `input_ids`, `attention_mask`, int64 [batch, sequence], padded on
    the right; outputs `token_embeddings` [batch, sequence, hidden] and `sentence_embedding` [batch, dim], in this order:
    the signature of the built portable graphs. hidden and dim can be read off the declared output shapes. There is no
    spec: nothing but this graph can be made of a traced model.

    The graph has been compared with PyTorch at several shapes, for RoPEBert on both sides of the trained length.
    Raises `UnsupportedModel`, `CheckpointError` or `UsageError` (see load.py), or `ParityError` if the trace is wrong.
    """
    encoder = load_encoder(folder, pooling, rope_scaling, ntk_length)
    module = SentenceEncoder(encoder, pooling, projections, dense, normalize).eval()
    vocab_size = int(encoder.config.get_text_config().vocab_size)
    model = to_onnx(module, vocab_size)
    pad = encoder.config.pad_token_id
    check(model, module, _shapes(encoder.config), vocab_size, 0 if pad is None else pad)
    return model


def _shapes(config: Any) -> list[tuple[int, int]]:
    """(batch, longest text): one token, a ragged batch, one long text, and where RoPEBert changes its base."""
    positions = getattr(config, "max_position_embeddings", None) or 512
    longest = max(1, min(_CHECKED_LENGTH, positions - 2))  # XLM-R and its kin start counting at 2
    shapes = [(1, 1), (3, min(17, longest)), (1, longest)]
    rope = getattr(config, "rope", None)
    if rope is not None and rope.scaling is Scaling.DYNAMIC:
        shapes += [(1, positions), (2, positions + 1)]
    return shapes
