"""CUDA graphs of buckets: buffers that are kept for batches that come again, captured once and replayed from then on."""

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.sessions.buckets import Bucket
from strizh.runtime.sessions.captures import CAPTURES
from strizh.runtime.sessions.device_memory import DeviceMemory
from strizh.runtime.sessions.session import one_line

# ONNX Runtime keeps a captured graph and its memory as long as the session, so only buckets that come again have one,
# and no more than these.
MOST_GRAPHS = 32
GRAPH, NO_GRAPH = "gpu_graph_id", "-1"  # the entry of a run's options that numbers a graph, and its value without one
Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Graph:
    """What is kept for a bucket: buffers on the device, bound, the host's beside, and the options that name its CUDA graph."""

    session: onnxruntime.InferenceSession
    inputs: dict[str, Any]
    host: dict[str, NDArray[Any]]
    outputs: dict[str, Any]
    binding: Any
    options: Any


class BucketGraphs:
    """The graphs of one session's buckets. On another device than a GPU the buffers lie there, and nothing is captured.

    `staging` is held while buffers are filled.
    """

    def __init__(self, memory: DeviceMemory, staging: threading.Lock) -> None:
        self._memory, self._staging = memory, staging
        self._seen: set[Bucket] = set()
        self._refused: set[Bucket] = set()
        self._graphs: dict[Bucket, Graph] = {}
        self._captured: dict[Bucket, threading.Thread] = {}  # and where it can be replayed
        self._numbers = itertools.count(1)

    @property
    def buckets(self) -> frozenset[Bucket]:
        """Those with buffers and a graph of their own."""
        return frozenset(self._graphs)

    def replayed(
        self,
        bucket: Bucket,
        session: onnxruntime.InferenceSession,
        filled: Callable[[], Feed],
        tell: Callable[[str], None],
    ) -> Graph | None:
        """The bucket's graph, run on what `filled` gives: its outputs are the batch's until the next replay; None without one.

        It is made when the bucket comes for the second time. `filled` may give the same arrays at every call. `tell` gets the
        reason why the bucket has no graph from now on.
        """
        graph = self._graph(bucket, session, filled)
        if graph is None:
            return None
        with self._staging, CAPTURES.none():
            for name, array in filled().items():
                np.copyto(graph.host[name], array)
            self._memory.put(*((graph.host[name], value) for name, value in graph.inputs.items()))
        here = threading.current_thread()
        if self._captured.get(bucket) is here:
            with CAPTURES.none():
                graph.session.run_with_iobinding(graph.binding, graph.options)
            return graph
        try:
            with CAPTURES.one():
                graph.session.run_with_iobinding(graph.binding, graph.options)
        except Exception as error:
            if bucket.alone:  # its session runs no other way
                raise
            del self._graphs[bucket]
            self._refused.add(bucket)
            tell(one_line(error))
            return None
        self._captured[bucket] = here
        return graph

    def _graph(self, bucket: Bucket, session: onnxruntime.InferenceSession, filled: Callable[[], Feed]) -> Graph | None:
        if bucket in self._graphs or bucket in self._refused:
            return self._graphs.get(bucket)
        if bucket.alone or (bucket in self._seen and len(self._graphs) < MOST_GRAPHS):
            with self._staging, CAPTURES.none():
                self._graphs[bucket] = self._bind(bucket, session, filled())
        self._seen.add(bucket)
        return self._graphs.get(bucket)

    def _bind(self, bucket: Bucket, session: onnxruntime.InferenceSession, feed: Feed) -> Graph:
        """Buffers of a bucket, bound. All outputs are: they are computed anyway, and what a graph writes is captured."""
        inputs = {name: self._memory.buffer(array.shape, array.dtype) for name, array in feed.items()}
        binding, options, outputs = bound(session, inputs), onnxruntime.RunOptions(), {}
        for node in session.get_outputs():
            shape = tuple(axis if isinstance(axis, int) else bucket.axes[axis] for axis in node.shape)
            outputs[node.name] = self._memory.buffer(shape, np.float32)
            binding.bind_ortvalue_output(node.name, outputs[node.name])
        options.add_run_config_entry(GRAPH, str(next(self._numbers)))
        host = {name: self._memory.array(array.shape, array.dtype) for name, array in feed.items()}
        return Graph(session, inputs, host, outputs, binding, options)


def bound(session: onnxruntime.InferenceSession, inputs: Mapping[str, Any]) -> Any:
    """A binding of a session to inputs on the device."""
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    return binding
