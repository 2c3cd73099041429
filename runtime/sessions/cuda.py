"""The cuda variants: device buffers that are kept, and a CUDA graph for every bucket of batches that comes again."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch, Rows
from strizh.runtime.cuda import PROVIDER
from strizh.runtime.packing import packed_inputs
from strizh.runtime.placement import DeviceVectors
from strizh.runtime.sessions.buckets import Bucket, bucket_of, fill
from strizh.runtime.sessions.host_memory import HostMemory
from strizh.runtime.sessions.session import Output, Session
from strizh.runtime.vectors import Float32

# What ONNX Runtime's CUDA provider is asked for: norms that sum in float32 whatever they store, and CUDA graphs.
OPTIONS = MappingProxyType({"enable_cuda_graph": "1", "enable_skip_layer_norm_strict_mode": "1"})
# ONNX Runtime keeps a captured graph and its memory as long as the session, so only buckets that come again have one,
# and no more than these. Larger batches gain nothing: their launches hide behind the computation.
MOST_GRAPHS = 32
MOST_GRAPH_TOKENS = 4096
_GRAPH, _NO_GRAPH = "gpu_graph_id", "-1"
_VERDICT = "zero_or_nan"
_INPUTS = ("input_ids", "cu_seqlens", "position_ids", "text_ids", "token_offset")


@dataclass(frozen=True, slots=True)
class _Graph:
    """What is kept for a bucket: buffers on the device, bound, the host's beside, and the options that name its CUDA graph."""

    inputs: dict[str, Any]
    host: dict[str, NDArray[Any]]
    result: Any
    binding: Any
    options: Any


class CudaSession(Session):
    """Batches that come again are filled up to their bucket and run from its buffers; others run as they are.

    Of several batches the next one, if it is too large for a graph, is copied to the device while another computes.
    On another device than a GPU the buffers lie there, and the provider ignores the graphs' numbers.
    """

    padded = False
    inputs = MappingProxyType(dict.fromkeys(_INPUTS, "tensor(int32)"))
    token_types = ("token_type_ids", "tensor(int32)")
    token_axes = ("total_tokens",)

    def __init__(self, session: onnxruntime.InferenceSession, *, variant: str) -> None:
        super().__init__(session, variant=variant)
        self._device = "cuda" if session.get_providers()[0] == PROVIDER else "cpu"
        self._seen: set[tuple[Bucket, Output]] = set()
        self._graphs: dict[tuple[Bucket, Output], _Graph] = {}
        self._host, self._staging = HostMemory(session.get_providers()[0]), threading.Lock()
        self._usual = onnxruntime.RunOptions()
        for options in (self._usual, self._give_back):
            options.add_run_config_entry(_GRAPH, _NO_GRAPH)

    @property
    def graphs(self) -> int:
        """Buckets with buffers and a CUDA graph of their own."""
        return len(self._graphs)

    def warm_up(self, batch: PackedBatch, output: Output) -> None:
        """Capture the batch's bucket now, so that the calls that follow replay its CUDA graph."""
        for _ in range(3):  # noticed, captured, replayed
            self.run(batch, output)

    def keep(
        self, texts: PackedBatch, batches: Iterable[slice], output: Output, *, alone: bool = False
    ) -> DeviceVectors:
        """Vectors [n, width] of all texts where they are computed, or [width] of one `alone`; zeros for those in no batch.

        `batches` are consecutive texts, each of which has a token: they write their rows into one buffer. `BundleError` if
        one of them is not finite, which the graph itself says in one number.
        """
        shape = (output.width,) if alone else (len(texts), output.width)
        found = self._buffer(shape, np.float32)
        found.update_inplace(np.zeros(shape, np.float32))
        with self._lock:
            for part in batches:
                batch = texts.take(np.arange(part.start, part.stop))
                address = found.data_ptr() + part.start * output.width * np.dtype(np.float32).itemsize
                try:
                    finite = self._run_into(batch, output, address)
                except Exception as error:  # ONNX Runtime's classes have no base of their own
                    raise self._translate(error, batch) from None
                if not finite:
                    raise self._not_finite(batch)
        return DeviceVectors(found)

    def _run_into(self, batch: PackedBatch, output: Output, address: int) -> bool:
        """Write the rows at `address`, and say whether they are finite."""
        verdict = np.zeros((), np.float32)
        binding = self._session.io_binding()
        feed = self._feed(batch)  # the binding has addresses only: these arrays must outlive the run
        for name, array in feed.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        binding.bind_output(output.name, self._device, 0, np.float32, (len(batch), output.width), address)
        binding.bind_output(_VERDICT, "cpu", 0, np.float32, (), verdict.ctypes.data)
        self._session.run_with_iobinding(binding, self._usual)
        return not np.isnan(verdict)

    def run_each(
        self, texts: PackedBatch, batches: Sequence[Rows], output: Output, *, give_back: bool = False
    ) -> Iterator[Float32]:
        """As `Session.run_each`, with the inputs of the next batch packed and copied while this one computes."""
        if len(batches) < 2:  # a query should not pay for a thread
            yield from super().run_each(texts, batches, output, give_back=give_back)
            return
        with ThreadPoolExecutor(1, "strizh-copy") as copying:
            upcoming = copying.submit(self._stage, texts, batches[0])
            for following in [*batches[1:], None]:
                batch, staged = upcoming.result()
                if following is not None:
                    upcoming = copying.submit(self._stage, texts, following)
                yield self._run(batch, output, staged, give_back and following is None)

    def _stage(self, texts: PackedBatch, rows: Rows) -> tuple[PackedBatch, dict[str, Any] | None]:
        """A batch, and its inputs on the device; none for one that may replay a graph, which has buffers of its own."""
        batch = texts.take(rows)
        if bucket_of(batch).tokens <= MOST_GRAPH_TOKENS:
            return batch, None
        found = {}
        with self._staging:
            for name, array in self._feed(batch).items():
                room = self._host.room("inputs", array.shape, np.int32)
                np.copyto(room, array)
                found[name] = self._buffer(array.shape, np.int32)
                found[name].update_inplace(room)  # has been copied when it returns
        return batch, found

    def _compute(self, batch: PackedBatch, output: Output, staged: Any, give_back: bool) -> Float32:
        if staged is not None:
            return self._compute_staged(batch, output, staged, give_back)
        bucket = bucket_of(batch)
        graph = self._graph(bucket, output)
        if graph is None:
            return super()._compute(batch, output, staged, give_back)
        for name, array in self._feed(fill(batch, bucket), bucket.longest).items():
            np.copyto(graph.host[name], array)
            graph.inputs[name].update_inplace(graph.host[name])
        self._session.run_with_iobinding(graph.binding, graph.options)
        found: Float32 = graph.result.numpy()
        return found[: len(batch.input_ids) if output.per_token else len(batch)].copy()

    def _compute_staged(self, batch: PackedBatch, output: Output, staged: dict[str, Any], give_back: bool) -> Float32:
        """From inputs on the device into page-locked memory, and from there into an array of the caller's own."""
        rows = self._token_shape(batch) if output.per_token else (len(batch),)
        result = self._host.room("results", (*rows, output.width), np.float32)
        binding = self._session.io_binding()
        for name, value in staged.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(output.name, "cpu", 0, np.float32, result.shape, result.ctypes.data)
        self._session.run_with_iobinding(binding, self._give_back if give_back else self._usual)
        return result.copy()

    def _graph(self, bucket: Bucket, output: Output) -> _Graph | None:
        """The bucket's graph, made when the bucket comes for the second time; None for one that has none."""
        key = bucket, output
        if key in self._graphs or bucket.tokens > MOST_GRAPH_TOKENS:
            return self._graphs.get(key)
        if key in self._seen and len(self._graphs) < MOST_GRAPHS:
            self._graphs[key] = self._bind(bucket, output)
        self._seen.add(key)
        return self._graphs.get(key)

    def _bind(self, bucket: Bucket, output: Output) -> _Graph:
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*_INPUTS, self.token_types[0]), (bucket.tokens,))
        shapes |= {"cu_seqlens": (bucket.texts + 1,), "token_offset": (bucket.texts, bucket.longest)}
        names = (*_INPUTS, *([self.token_types[0]] if self._typed else []))
        inputs = {name: self._buffer(shapes[name], np.int32) for name in names}
        result = self._buffer((bucket.tokens if output.per_token else bucket.texts, output.width), np.float32)
        binding, options = self._session.io_binding(), onnxruntime.RunOptions()
        for name, buffer in inputs.items():
            binding.bind_ortvalue_input(name, buffer)
        binding.bind_ortvalue_output(output.name, result)
        options.add_run_config_entry(_GRAPH, str(len(self._graphs) + 1))
        host = {name: self._host.array(shapes[name], np.int32) for name in names}
        return _Graph(inputs, host, result, binding, options)

    def _buffer(self, shape: tuple[int, ...], kind: Any) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, self._device, 0)

    def _feed(self, batch: PackedBatch, longest: int | None = None) -> dict[str, NDArray[Any]]:
        arrays = packed_inputs(batch, longest)
        if self._typed:
            arrays["token_type_ids"] = batch.types_or_zeros()
        return {name: np.ascontiguousarray(array, np.int32) for name, array in arrays.items()}

    def _token_shape(self, batch: PackedBatch) -> tuple[int, ...]:
        return (len(batch.input_ids),)

    def _pack(self, rows: Float32, batch: PackedBatch) -> Float32:
        return rows
