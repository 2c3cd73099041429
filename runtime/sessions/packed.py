"""Graphs with `input_ids` [total_tokens] and `cu_seqlens` [batch + 1]: the cpu variants. No padding exists."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh import kernels
from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.session import Output, Session
from strizh.runtime.vectors import Float32

# Of a graph whose sentence vectors are of one token each: where it is 0, no other row of the last layer is computed.
_OUTPUT_TOKENS = "output_token_embeddings"


class PackedSession(Session):
    """Gives the graph the packed batch as it is."""

    padded = False
    inputs = MappingProxyType({"input_ids": "tensor(int32)", "cu_seqlens": "tensor(int32)"})
    token_types = ("token_type_ids", "tensor(int32)")
    token_axes = ("total_tokens",)

    def __init__(self, session: onnxruntime.InferenceSession, *, threads: int, **names: Any) -> None:
        super().__init__(session, **names)
        self._threads = threads
        optional = {(node.name, node.type) for node in session.get_overridable_initializers()}
        no = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(1, np.int32))
        self._without_tokens = {_OUTPUT_TOKENS: no} if (_OUTPUT_TOKENS, "tensor(int32)") in optional else {}

    def _feed(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        kernels.set_threads(self._threads)  # the operators' team is one for the process
        arrays = {"input_ids": batch.input_ids, "cu_seqlens": batch.cu_seqlens}
        if self._typed:
            arrays["token_type_ids"] = batch.types_or_zeros()
        return {name: np.ascontiguousarray(array, np.int32) for name, array in arrays.items()}

    def _for_this_alone(self, output: Output) -> Mapping[str, onnxruntime.OrtValue]:
        return {} if output.per_token else self._without_tokens

    def _token_shape(self, batch: PackedBatch) -> tuple[int, ...]:
        return (len(batch.input_ids),)

    def _pack(self, rows: Float32, batch: PackedBatch) -> Float32:
        return rows
