"""A graph under construction: nodes in order, initialisers by name, nothing clever."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from strizh.export.weights import Array

IR_VERSION = 8  # read by ONNX Runtime since 1.11, OpenVINO and onnxruntime-web
_REDUCTIONS_TAKE_AXES = 18  # as an input, from this opset on
INT64 = TensorProto.INT64
INT32 = TensorProto.INT32
FLOAT = TensorProto.FLOAT


class Graph:
    """Adds nodes one by one; every method returns the name of the value it made.

    Initialisers of a slot carry the slot's name, so that two graphs of one bundle can share external data.
    """

    opsets: ClassVar[Mapping[str, int]] = MappingProxyType({"": 17, "com.microsoft": 1, "strizh": 1})
    ir_version: ClassVar[int] = IR_VERSION

    def __init__(self, name: str, weights: Mapping[str, Array]) -> None:
        self.name = name
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        # Initialisers go where they stay at once: protobuf copies whatever is put into another message.
        self._model = onnx.ModelProto(ir_version=self.ir_version, producer_name="strizh")
        self._scope: list[str] = []
        self._serial: Counter[str] = Counter()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names of the nodes made inside start with `name`."""
        self._scope.append(name)
        yield
        self._scope.pop()

    def node(
        self, op: str, *inputs: str, outputs: int = 1, unused: Sequence[int] = (), domain: str = "", **attributes: Any
    ) -> Any:
        """Add a node; one output gives its name, several a tuple of names without those `unused`."""
        path = "/".join([*self._scope, op])
        self._serial[path] += 1
        path += f"_{self._serial[path]}"
        names = [path] if outputs == 1 else [f"{path}:{index}" for index in range(outputs)]
        made = ["" if index in unused else name for index, name in enumerate(names)]
        self.nodes.append(helper.make_node(op, list(inputs), made, name=path, domain=domain, **attributes))
        return made[0] if outputs == 1 else tuple(name for name in made if name)

    def exact(self, value: str) -> str:
        """A value in float32, which every float is here."""
        return value

    def reduce(self, op: str, x: str, axis: int, *, keepdims: int = 1) -> str:
        """ReduceMean, ReduceMax or ReduceL2 over one axis, as the graph's opset spells it."""
        if self.opsets[""] < _REDUCTIONS_TAKE_AXES:
            return str(self.node(op, x, axes=[axis], keepdims=keepdims))
        return str(self.node(op, x, self.constant([axis], "int64"), keepdims=keepdims))

    def weight(self, slot: str, change: Callable[[Array], Array] | None = None) -> str:
        """The initialiser of a slot, changed (transposed, say) on the way in."""
        if slot not in self.initializers:
            array = self.weights[slot]
            self.add_initializer(slot, change(array) if change else array)
        return slot

    def joined(self, name: str, slots: Sequence[str], change: Callable[[Array], Array] | None = None) -> str:
        """One initialiser from several slots, joined along their first axis before `change`."""
        if name not in self.initializers:
            array = np.concatenate([self.weights[slot] for slot in slots])
            self.add_initializer(name, change(array) if change else array)
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A small constant, stored once however often it is asked for."""
        array = np.asarray(value, dtype)
        text = "_".join(str(item) for item in array.reshape(-1)[:4]) + ("_etc" if array.size > 4 else "")
        stem = name = f"constant/{array.dtype}_{'x'.join(map(str, array.shape)) or 'scalar'}_{text}"
        while name in self.initializers and self.initializers[name].raw_data != array.tobytes():
            self._serial[stem] += 1
            name = f"{stem}~{self._serial[stem]}"
        if name not in self.initializers:
            self.add_initializer(name, array)
        return name

    def add_initializer(self, name: str, array: NDArray[Any]) -> None:
        """Store an array under a name."""
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = self._model.graph.initializer.add(name=name, data_type=kind, dims=array.shape)
        tensor.raw_data = np.ascontiguousarray(array).tobytes()
        self.initializers[name] = tensor

    def rename(self, value: str, name: str) -> None:
        """Give a value the name that it has outside the graph."""
        for node in self.nodes:
            for side in (node.input, node.output):
                for index, found in enumerate(side):
                    if found == value:
                        side[index] = name

    def model(
        self,
        inputs: Mapping[str, tuple[int, Sequence[str | int]]],
        outputs: Mapping[str, tuple[int, Sequence[str | int]]],
        metadata: Mapping[str, str],
    ) -> onnx.ModelProto:
        """The finished model; inputs and outputs are name -> (element type, shape)."""
        domains = {node.domain for node in self.nodes}
        model = self._model
        model.opset_import.extend(helper.make_opsetid(name, self.opsets[name]) for name in sorted(domains | {""}))
        graph = model.graph
        graph.name = self.name
        graph.node.extend(self.nodes)
        graph.input.extend(helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items())
        graph.output.extend(helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items())
        helper.set_model_props(model, dict(metadata))
        return model
