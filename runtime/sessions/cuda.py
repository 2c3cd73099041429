"""The cuda variants: packed batches on a GPU, and vectors that may stay there."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import BundleError
from strizh.runtime.packing import packed_inputs
from strizh.runtime.placement import DeviceVectors
from strizh.runtime.sessions.buckets import Bucket, bucket_of, fill
from strizh.runtime.sessions.device import DeviceSession, Staged, bound
from strizh.runtime.sessions.device_copy import DeviceCopy
from strizh.runtime.sessions.session import Output
from strizh.runtime.vectors import Float32

# What ONNX Runtime's CUDA provider is asked for: norms that sum in float32 whatever they store, and CUDA graphs.
OPTIONS = MappingProxyType({"enable_cuda_graph": "1", "enable_skip_layer_norm_strict_mode": "1"})
MOST_GRAPH_TOKENS = 4096  # a larger batch gains nothing by a CUDA graph: its launches hide behind the computation
_VERDICT = "zero_or_nan"
_INPUTS = ("input_ids", "cu_seqlens", "position_ids", "text_ids", "token_offset")


class CudaSession(DeviceSession):
    """Gives the graph the packed batch, and all that would be counted on the CPU."""

    padded = False
    inputs = MappingProxyType(dict.fromkeys(_INPUTS, "tensor(int32)"))
    token_types = ("token_type_ids", "tensor(int32)")
    token_axes = ("total_tokens",)

    def __init__(self, session: onnxruntime.InferenceSession, **names: Any) -> None:
        super().__init__(session, **names)
        self._gives_verdict = any(node.name == _VERDICT for node in session.get_outputs())
        self._copy: DeviceCopy | None = None  # opened by the first graph whose vectors stay

    def keep(
        self, texts: PackedBatch, batches: Iterable[slice], output: Output, *, alone: bool = False
    ) -> DeviceVectors:
        """Vectors [n, width] of all texts where they are computed, or [width] of one `alone`; zeros for those in no batch.

        `batches` are consecutive texts, each of which has a token: they write their rows into one buffer, which is the
        caller's. `BundleError` if one of them is not finite, which the graph itself says in one number.
        """
        if not self._gives_verdict:
            raise BundleError(
                f"the graph of {self._variant} has no output {_VERDICT}, by which vectors that stay on the GPU are checked: "
                "an older strizh wrote it. Export the bundle again, or take output='numpy'"
            )
        parts, shape = list(batches), (output.width,) if alone else (len(texts), output.width)
        found = self._memory.buffer(shape, np.float32)
        found.update_inplace(np.zeros(shape, np.float32))
        rows = [np.arange(part.start, part.stop) for part in parts]
        for part, (batch, staged) in zip(parts, self._ahead(texts, rows), strict=True):
            address = found.data_ptr() + part.start * output.width * np.dtype(np.float32).itemsize
            with self._lock:
                try:
                    finite = self._run_into(batch, output, staged, address)
                except Exception as error:  # ONNX Runtime's classes have no base of their own
                    raise self._translate(error, batch) from None
            if not finite:
                raise self._not_finite(batch)
        return DeviceVectors(found)

    def _run_into(self, batch: PackedBatch, output: Output, staged: Staged | None, address: int) -> bool:
        """Write the rows at `address`, and say whether they are finite."""
        shape, graph = (len(batch), output.width), None if staged else self._graph(batch)
        if graph is None:
            verdict = np.zeros((), np.float32)
            binding = bound(self._session, staged or self._put(batch))
            binding.bind_output(output.name, self._memory.device, 0, np.float32, shape, address)
            binding.bind_output(_VERDICT, "cpu", 0, np.float32, (), verdict.ctypes.data)
            self._session.run_with_iobinding(binding, self._usual)
            return not np.isnan(verdict)
        self._replay(graph, batch)
        if self._copy is None:
            self._copy = DeviceCopy(self._session.get_providers()[0], self._memory.device)
        self._copy(graph.outputs[output.name].data_ptr(), address, shape)  # the next replay writes over the graph's own
        return not np.isnan(graph.outputs[_VERDICT].numpy())

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
