"""Graphs with `input_ids` and `attention_mask` [batch, sequence]: portable, ort. Padding happens here and only here."""

from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.session import Session
from strizh.runtime.vectors import Float32

# ONNX Runtime's CPU kernels are quickest a token on some 500 of them, padding counted: larger batches leave its caches and have
# more padding. Base geometry on two Zen 4 cores, tokens/s with 2048, 1024 and 512: ragged texts in float32 604, 793, 939, in int8
# 1175, 1488, 1471; queries of 4 to 64 tokens 455, 660, 798 and 1221, 1877, 2396; equal lengths of 16 or 128 gain up to 10 %.
ENOUGH_ON_CPU = 512


class PaddedSession(Session):
    """Pads each batch to its longest text, in buffers that are kept."""

    padded = True
    inputs = MappingProxyType({"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"})
    token_types = ("token_type_ids", "tensor(int64)")
    token_axes = ("batch", "sequence")

    def __init__(self, session: onnxruntime.InferenceSession, *, pad_token_id: int, **names: Any) -> None:
        super().__init__(session, **names)
        self.enough = ENOUGH_ON_CPU if session.get_providers() == ["CPUExecutionProvider"] else None
        self._pad_token_id = pad_token_id
        self._buffers = np.empty((3 if self._typed else 2, 0), np.int64)

    def _feed(self, batch: PackedBatch, shape: tuple[int, int] | None = None) -> dict[str, NDArray[Any]]:
        """`input_ids`, `attention_mask` and, where the graph takes them, `token_type_ids`, int64 [batch, longest] or `shape`.

        Texts that only fill up the shape have one token, which is padding: attention to nothing is no number.
        """
        shape = shape or self._token_shape(batch)
        texts = len(batch)
        size = shape[0] * shape[1]
        if self._buffers.shape[1] < size:
            self._buffers = np.empty((len(self._buffers), size), np.int64)
        input_ids, attention_mask, *token_types = (buffer[:size].reshape(shape) for buffer in self._buffers)
        real = _real(batch, shape)
        attention_mask[:texts] = real
        attention_mask[texts:] = np.arange(shape[1]) == 0
        input_ids.fill(self._pad_token_id)
        input_ids[:texts][real] = batch.input_ids
        for types in token_types:
            types.fill(0)
            types[:texts][real] = batch.types_or_zeros()
        arrays = (input_ids, attention_mask, *token_types)
        return dict(zip(("input_ids", "attention_mask", "token_type_ids"), arrays, strict=False))

    def _token_shape(self, batch: PackedBatch) -> tuple[int, int]:
        return len(batch), int(batch.lengths.max())

    def _pack(self, rows: Float32, batch: PackedBatch) -> Float32:
        return np.asarray(rows[_real(batch, rows.shape)])


def _real(batch: PackedBatch, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which places of the batch, padded to the last axis of the shape, hold a token: bool [batch, longest]."""
    return np.asarray(np.arange(shape[1]) < batch.lengths[:, None])
