"""A model whose nodes are replaced one by one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Rewriter:
    """Reads the old nodes, collects the new ones, and keeps only the initialisers that these read."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._nodes: list[onnx.NodeProto] = []
        self._read: set[str] = set()

    @property
    def old(self) -> Iterator[onnx.NodeProto]:
        """The model's nodes in their order, to be kept or replaced."""
        yield from list(self.model.graph.node)

    def keep(self, node: onnx.NodeProto) -> None:
        """Take a node over."""
        self._nodes.append(node)
        self._read.update(node.input)

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A new node of standard ONNX with one output, which also names it."""
        self.keep(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    @contextmanager
    def branch(self, name: str) -> Iterator[onnx.GraphProto]:
        """The nodes that are added meanwhile become this graph, for an `If`; the last of them gives its output."""
        outside, self._nodes = self._nodes, []
        graph = onnx.GraphProto(name=name)
        try:
            yield graph
            graph.node.extend(self._nodes)
            graph.output.add(name=self._nodes[-1].output[0]).type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        finally:
            self._nodes = outside

    def is_initializer(self, name: str) -> bool:
        """Whether a value is stored in the model, not made by a node."""
        return name in self._tensors

    def is_scalar(self, name: str) -> bool:
        """Whether a value is stored in the model and is a single number."""
        return name in self._tensors and not self._tensors[name].dims

    def array(self, name: str) -> NDArray[Any]:
        """An initialiser's values."""
        return np.asarray(numpy_helper.to_array(self._tensors[name]))

    def store(self, name: str, array: Any) -> str:
        """Add an initialiser, once however often it is asked for."""
        if name not in self._tensors:
            found = np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
            tensor = self.model.graph.initializer.add(
                name=name, data_type=helper.np_dtype_to_tensor_dtype(found.dtype), dims=found.shape
            )
            tensor.raw_data = found.tobytes()
            self._tensors[name] = tensor
        return name

    def finish(self) -> None:
        """Put the new nodes into the model and drop what they do not read."""
        graph = self.model.graph
        del graph.node[:]
        graph.node.extend(self._nodes)
        for index in reversed(range(len(graph.initializer))):
            if graph.initializer[index].name not in self._read:
                del graph.initializer[index]
