"""Graphs with `input_ids` [total_tokens] and `cu_seqlens` [batch + 1]: the cpu variants. No padding exists."""

from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh import kernels
from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.session import Session


class PackedSession(Session):
    """Gives the graph the packed batch as it is."""

    padded = False
    inputs = MappingProxyType({"input_ids": "tensor(int32)", "cu_seqlens": "tensor(int32)"})

    def __init__(self, session: onnxruntime.InferenceSession, *, threads: int, **names: Any) -> None:
        super().__init__(session, **names)
        self._threads = threads

    def _feed(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        kernels.set_threads(self._threads)  # the operators' team is one for the process
        arrays = {"input_ids": batch.input_ids, "cu_seqlens": batch.cu_seqlens}
        return {name: np.ascontiguousarray(array, np.int32) for name, array in arrays.items()}
