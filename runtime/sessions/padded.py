"""Graphs with `input_ids` and `attention_mask` [batch, sequence]: portable, ort. Padding happens here and only here."""

import threading

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.session import translate_run_error
from strizh.runtime.vectors import Float32

INPUTS = {"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"}


class PaddedSession:
    """Pads each batch into buffers that are kept, and binds them, so that a run copies nothing."""

    padded = True

    def __init__(
        self, session: onnxruntime.InferenceSession, *, variant: str, output: str, width: int, pad_token_id: int
    ) -> None:
        self._session = session
        self._variant = variant
        self._output = output
        self._width = width
        self._pad_token_id = pad_token_id
        self._lock = threading.Lock()
        self._buffers = np.empty((2, 0), np.int64)
        self.providers = tuple(session.get_providers())

    def run(self, batch: PackedBatch) -> Float32:
        """Output of the graph for each text: float32 [batch, width]."""
        with self._lock:
            input_ids, attention_mask = self._pad(batch)
            result = np.empty((len(batch), self._width), np.float32)
            try:
                binding = self._session.io_binding()
                for name, array in (("input_ids", input_ids), ("attention_mask", attention_mask)):
                    binding.bind_input(name, "cpu", 0, np.int64, array.shape, array.ctypes.data)
                binding.bind_output(self._output, "cpu", 0, np.float32, result.shape, result.ctypes.data)
                self._session.run_with_iobinding(binding)
            except Exception as error:
                translate_run_error(error, self._variant, batch)
            return result

    def _pad(self, batch: PackedBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`input_ids` and `attention_mask`, int64 [batch, longest], in the kept buffers."""
        lengths = batch.lengths
        shape = (len(batch), int(lengths.max()))
        size = shape[0] * shape[1]
        if self._buffers.shape[1] < size:
            self._buffers = np.empty((2, size), np.int64)
        input_ids, attention_mask = (buffer[:size].reshape(shape) for buffer in self._buffers)
        np.less(np.arange(shape[1]), lengths[:, None], out=attention_mask, casting="unsafe")
        input_ids.fill(self._pad_token_id)
        input_ids[attention_mask.astype(bool)] = batch.input_ids
        return input_ids, attention_mask
