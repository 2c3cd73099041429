"""The cuda variants: packed batches on a GPU."""

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch
from strizh.runtime.packing import packed_inputs
from strizh.runtime.sessions.buckets import Bucket, bucket_of, fill
from strizh.runtime.sessions.device import DeviceSession
from strizh.runtime.vectors import Float32

# What ONNX Runtime's CUDA provider is asked for: norms that sum in float32 whatever they store, and CUDA graphs. Products of
# float32, which poolings and heads are, it computes in TF32: that has the digits of float16 and the range of float32.
OPTIONS = MappingProxyType({"enable_cuda_graph": "1", "enable_skip_layer_norm_strict_mode": "1"})
MOST_GRAPH_TOKENS = 4096  # a larger batch gains nothing by a CUDA graph: its launches hide behind the computation
_INPUTS = ("input_ids", "cu_seqlens", "position_ids", "text_ids", "token_offset")


class CudaSession(DeviceSession):
    """Gives the graph the packed batch, and all that would be counted on the CPU."""

    padded = False
    inputs = MappingProxyType(dict.fromkeys(_INPUTS, "tensor(int32)"))
    token_types = ("token_type_ids", "tensor(int32)")
    token_axes = ("total_tokens",)

    def _bucket(self, batch: PackedBatch) -> Bucket | None:
        bucket = bucket_of(batch)
        return bucket if bucket.tokens <= MOST_GRAPH_TOKENS else None

    def _filled(self, batch: PackedBatch, bucket: Bucket) -> dict[str, NDArray[Any]]:
        return self._feed(fill(batch, bucket), bucket.longest)

    def _feed(self, batch: PackedBatch, longest: int | None = None) -> dict[str, NDArray[Any]]:
        arrays = packed_inputs(batch, longest)
        if self._typed:
            arrays["token_type_ids"] = batch.types_or_zeros()
        return {name: np.ascontiguousarray(array, np.int32) for name, array in arrays.items()}

    def _token_shape(self, batch: PackedBatch) -> tuple[int, ...]:
        return (len(batch.input_ids),)

    def _pack(self, rows: Float32, batch: PackedBatch) -> Float32:
        return rows
