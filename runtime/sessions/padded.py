"""Graphs with `input_ids` and `attention_mask` [batch, sequence]: portable, ort. Padding happens here and only here."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.session import Session


class PaddedSession(Session):
    """Pads each batch to its longest text, in buffers that are kept."""

    padded = True
    inputs = {"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"}  # noqa: RUF012

    def __init__(self, session: onnxruntime.InferenceSession, *, pad_token_id: int, **names: Any) -> None:
        super().__init__(session, **names)
        self._pad_token_id = pad_token_id
        self._buffers = np.empty((2, 0), np.int64)

    def _feed(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        """`input_ids` and `attention_mask`, int64 [batch, longest]."""
        lengths = batch.lengths
        shape = (len(batch), int(lengths.max()))
        size = shape[0] * shape[1]
        if self._buffers.shape[1] < size:
            self._buffers = np.empty((2, size), np.int64)
        input_ids, attention_mask = (buffer[:size].reshape(shape) for buffer in self._buffers)
        real = np.arange(shape[1]) < lengths[:, None]
        attention_mask[:] = real
        input_ids.fill(self._pad_token_id)
        input_ids[real] = batch.input_ids
        return {"input_ids": input_ids, "attention_mask": attention_mask}
