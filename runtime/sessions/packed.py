"""Graphs with `input_ids` [total_tokens] and `cu_seqlens` [batch + 1]: the cpu variants. No padding exists."""

import threading

import numpy as np
import onnxruntime
from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.session import translate_run_error
from strizh.runtime.vectors import Float32

INPUTS = {"input_ids": "tensor(int32)", "cu_seqlens": "tensor(int32)"}


class PackedSession:
    """Binds the packed batch as it is: nothing is copied."""

    padded = False

    def __init__(self, session: onnxruntime.InferenceSession, *, variant: str, output: str, width: int) -> None:
        self._session = session
        self._variant = variant
        self._output = output
        self._width = width
        self._lock = threading.Lock()
        self.providers = tuple(session.get_providers())

    def run(self, batch: PackedBatch) -> Float32:
        """Output of the graph for each text: float32 [batch, width]."""
        input_ids, cu_seqlens = (np.ascontiguousarray(a, np.int32) for a in (batch.input_ids, batch.cu_seqlens))
        result = np.empty((len(batch), self._width), np.float32)
        with self._lock:
            try:
                binding = self._session.io_binding()
                for name, array in (("input_ids", input_ids), ("cu_seqlens", cu_seqlens)):
                    binding.bind_input(name, "cpu", 0, np.int32, array.shape, array.ctypes.data)
                binding.bind_output(self._output, "cpu", 0, np.float32, result.shape, result.ctypes.data)
                self._session.run_with_iobinding(binding)
            except Exception as error:
                translate_run_error(error, self._variant, batch)
        return result
