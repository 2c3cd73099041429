"""Sessions of a GPU: batches that are copied ahead, or replayed from the buffers of their bucket; vectors that stay there."""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch, Rows
from strizh.runtime.caller import callers_level
from strizh.runtime.errors import BundleError
from strizh.runtime.placement import DeviceVectors
from strizh.runtime.sessions.bucket_graphs import GRAPH, NO_GRAPH, BucketGraphs, Graph, bound
from strizh.runtime.sessions.buckets import Bucket
from strizh.runtime.sessions.captures import CAPTURES
from strizh.runtime.sessions.device_memory import DeviceMemory
from strizh.runtime.sessions.lane import Lane, Result
from strizh.runtime.sessions.session import Output, Session
from strizh.runtime.vectors import Float32

_CHECKSUM, _SCALAR = "checksum", (1, 1)
_FLOAT32 = np.dtype(np.float32).itemsize
Staged = dict[str, Any]


class DeviceSession(Session):
    """Batches that come again are filled up to their bucket and run from its buffers; others run as they are.

    Of several batches the next one, if it has no bucket, is copied to the device while another computes. On another
    device than a GPU the buffers lie there, and the provider ignores the graphs' numbers. The subclasses say which
    bucket a batch has, and what it looks like when it is filled up.
    """

    def __init__(self, session: onnxruntime.InferenceSession, **names: Any) -> None:
        super().__init__(session, **names)
        with CAPTURES.none():
            self._memory = DeviceMemory(session.get_providers()[0])
        self._staging, self._lane = threading.Lock(), Lane()
        self._graphs = BucketGraphs(self._memory, self._staging)
        self._untold: list[str] = []  # warnings of the run under way
        self._usual = onnxruntime.RunOptions()
        for options in (self._usual, self._give_back):
            options.add_run_config_entry(GRAPH, NO_GRAPH)

    @property
    def graphs(self) -> int:
        """Buckets with buffers and a CUDA graph of their own."""
        return len(self._graphs.buckets)

    def warm_up(self, batch: PackedBatch, output: Output) -> None:
        """Capture the batch's bucket now, so that the calls that follow replay its CUDA graph."""
        for _ in range(3):  # noticed, captured, replayed
            self.run(batch, output)

    def run_each(
        self, texts: PackedBatch, batches: Sequence[Rows], output: Output, *, give_back: bool = False
    ) -> Iterator[Float32]:
        """As `Session.run_each`, with the inputs of the next batch packed and copied while this one computes."""
        for number, (batch, staged) in enumerate(self._ahead(texts, batches), 1):
            yield self._run(batch, output, staged, give_back and number == len(batches))

    def keep(
        self, texts: PackedBatch, batches: Iterable[slice], output: Output, *, alone: bool = False
    ) -> DeviceVectors:
        """Vectors [n, width] of all texts where they are computed, or [width] of one `alone`; zeros for those in no batch.

        `batches` are consecutive texts, each of which has a token: they write their rows into one buffer, which is the
        caller's. `BundleError` if one of them is not finite, which the graph itself says in one number: their sum.
        """
        if not any(node.name == _CHECKSUM for node in self._session.get_outputs()):
            raise BundleError(
                f"the graph of {self._variant} has no output {_CHECKSUM}, by which vectors that stay on the GPU are checked: "
                "an older strizh wrote it. Export the bundle again, or take output='numpy'"
            )
        whole = [np.arange(batch.start, batch.stop) for batch in batches]
        parts = [rows for batch in whole for rows in self._taken(texts.lengths, batch)]
        with CAPTURES.none():
            found = self._memory.buffer((output.width,) if alone else (len(texts), output.width), np.float32)
            if sum(map(len, parts)) < len(texts):
                self._memory.put((np.zeros((len(texts), output.width), np.float32), found))
        for rows, (batch, staged) in zip(parts, self._ahead(texts, parts), strict=True):
            with self._lock:
                try:  # the run holds the buffer itself: who interrupts this call leaves it running
                    finite = self._in_lane(partial(self._run_into, batch, output, staged, found, int(rows[0])))
                except Exception as error:  # ONNX Runtime's classes have no base of their own
                    raise self._translate(error, batch) from None
            if not finite:
                raise self._not_finite(batch)
        return DeviceVectors(found)

    def _taken(self, lengths: NDArray[np.int32], rows: Rows) -> Iterator[Rows]:
        """The batches that the graph takes one of these rows in."""
        yield rows

    def _ahead(self, texts: PackedBatch, batches: Sequence[Rows]) -> Iterator[tuple[PackedBatch, Staged | None]]:
        """Every batch as `_stage` gives it, with the next one in the making."""
        if len(batches) < 2:  # a query should not pay for a thread
            yield from ((texts.take(rows), None) for rows in batches)
            return
        with ThreadPoolExecutor(1, "strizh-copy") as copying:
            upcoming = copying.submit(self._stage, texts, batches[0])
            for following in [*batches[1:], None]:
                ready = upcoming.result()
                if following is not None:
                    upcoming = copying.submit(self._stage, texts, following)
                yield ready

    def _stage(self, texts: PackedBatch, rows: Rows) -> tuple[PackedBatch, Staged | None]:
        """A batch, and its inputs on the device; none for one that may replay a graph, which has buffers of its own."""
        batch = texts.take(rows)
        return batch, None if self._bucket(batch) else self._put(batch)

    def _put(self, batch: PackedBatch) -> Staged:
        """The batch's inputs on the device, in buffers of their own."""
        found = {}
        with self._staging:  # one at a time: they pass through the same memory of the host
            for name, array in self._feed(batch).items():
                with CAPTURES.none():
                    room = self._memory.room("inputs", array.shape, array.dtype)
                    np.copyto(room, array)
                    found[name] = self._memory.buffer(array.shape, array.dtype)
                    self._memory.put((room, found[name]))
        return found

    def _compute(self, batch: PackedBatch, output: Output, staged: Staged | None, give_back: bool) -> Float32:
        return self._in_lane(partial(self._compute_here, batch, output, staged, give_back))

    def _in_lane(self, run: Callable[[], Result]) -> Result:
        """The run's result; its warnings are given here, in the thread of the caller whom they are to show."""
        try:
            return self._lane(run)
        finally:
            while self._untold:
                warnings.warn(self._untold.pop(), RuntimeWarning, stacklevel=callers_level())

    def _compute_here(self, batch: PackedBatch, output: Output, staged: Staged | None, give_back: bool) -> Float32:
        """From page-locked memory into an array of the caller's own."""
        graph = None if staged else self._replayed(batch)
        rows = self._token_shape(batch) if output.per_token else (len(batch),)
        if graph is None:
            return self._compute_staged(batch, output, staged or self._put(batch), give_back)
        value = graph.outputs[output.name]
        shape = (rows[0], *value.shape()[1:])
        with CAPTURES.none():
            return self._memory.get("results", shape, value).copy()

    def _compute_staged(self, batch: PackedBatch, output: Output, staged: Staged, give_back: bool) -> Float32:
        rows = self._token_shape(batch) if output.per_token else (len(batch),)
        with CAPTURES.none():
            result = self._memory.room("results", (*rows, output.width), np.float32)
            session = self._opened(batch)
            binding = bound(session, staged)
            binding.bind_output(output.name, "cpu", 0, np.float32, result.shape, result.ctypes.data)
            session.run_with_iobinding(binding, self._give_back if give_back else self._usual)
        return result.copy()

    def _run_into(
        self, batch: PackedBatch, output: Output, staged: Staged | None, vectors: onnxruntime.OrtValue, first: int
    ) -> bool:
        """Write the rows into `vectors`, beginning with its row `first`, and say whether they are finite."""
        graph, shape = None if staged else self._replayed(batch), (len(batch), output.width)
        address = vectors.data_ptr() + first * output.width * _FLOAT32
        if graph is None:
            staged = staged or self._put(batch)
            with CAPTURES.none():
                checksum = self._memory.room(_CHECKSUM, _SCALAR, np.float32)
                session = self._opened(batch)
                binding = bound(session, staged)
                binding.bind_output(output.name, self._memory.device, 0, np.float32, shape, address)
                binding.bind_output(_CHECKSUM, "cpu", 0, np.float32, _SCALAR, checksum.ctypes.data)
                session.run_with_iobinding(binding, self._usual)
            return bool(np.isfinite(checksum).all())
        with CAPTURES.none():  # the next replay writes over the graph's own
            self._memory.copy((address, graph.outputs[output.name].data_ptr(), shape[0] * shape[1] * _FLOAT32))
            return bool(np.isfinite(self._memory.get(_CHECKSUM, _SCALAR, graph.outputs[_CHECKSUM])).all())

    def _replayed(self, batch: PackedBatch) -> Graph | None:
        """The graph of the batch's bucket, whose outputs are the batch's until its next replay; None for one without."""
        bucket = self._bucket(batch)
        if bucket is None:
            return None

        def tell(why: str) -> None:
            line = f"{self._variant}: batches as this one of {len(batch.input_ids)} tokens run without a CUDA graph"
            self._untold.append(f"{line}, which could not be captured: {why}")

        return self._graphs.replayed(bucket, self._opened(batch), partial(self._filled, batch, bucket), tell)

    def _opened(self, batch: PackedBatch) -> onnxruntime.InferenceSession:
        """ONNX Runtime's session that runs this batch."""
        return self._session

    def _bucket(self, batch: PackedBatch) -> Bucket | None:
        """What a batch is filled up to; None for one that is to have no CUDA graph."""
        raise NotImplementedError

    def _filled(self, batch: PackedBatch, bucket: Bucket) -> dict[str, NDArray[Any]]:
        """The graph's inputs for a batch that is filled up; valid until the next call of this or of `_feed`."""
        raise NotImplementedError
