"""Graphs with `input_ids` and `attention_mask` [batch, sequence]: portable, ort. Padding happens here and only here."""

from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.session import Session

# ONNX Runtime's CPU kernels are as quick a token on 1,000 as on 8,000 of them (texts of 16 to 512 tokens, within the
# noise of 10 %), while padding and memory grow with the batch.
ENOUGH_ON_CPU = 2048


class PaddedSession(Session):
    """Pads each batch to its longest text, in buffers that are kept."""

    padded = True
    inputs = MappingProxyType({"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"})

    def __init__(self, session: onnxruntime.InferenceSession, *, pad_token_id: int, **names: Any) -> None:
        super().__init__(session, **names)
        self.enough = ENOUGH_ON_CPU if session.get_providers() == ["CPUExecutionProvider"] else None
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
