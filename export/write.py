"""A model onto disk: checked, in one file or with its weights beside it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from strizh.runtime.errors import Error

_PAGE = 4096  # weights that start on a page can be mapped
_SMALL = 1024  # bytes; shorter initialisers stay in the graph, where shape inference can see them
_PROTOBUF_LIMIT = 2 * 10**9


@dataclass(slots=True)
class ExternalData:
    """One file of weights that several graphs of a bundle may share: a slot is written once."""

    path: Path
    places: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> offset, length
    end: int = 0

    def move(self, model: onnx.ModelProto) -> None:
        """Move the model's large initialisers here, one at a time."""
        with self.path.open("ab") as stream:
            for tensor in model.graph.initializer:
                if len(tensor.raw_data) >= _SMALL:
                    self._move_one(tensor, stream.write)

    def _move_one(self, tensor: TensorProto, write: Callable[[bytes], int]) -> None:
        size = len(tensor.raw_data)
        if tensor.name not in self.places:
            start = -(-self.end // _PAGE) * _PAGE
            write(b"\0" * (start - self.end))
            write(tensor.raw_data)
            self.places[tensor.name] = start, size
            self.end = start + size
        offset, stored = self.places[tensor.name]
        if stored != size:
            raise Error(f"initialiser {tensor.name!r} has {size} bytes here and {stored} in {self.path.name}: a bug.")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.path.name), ("offset", offset), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))


def write_model(model: onnx.ModelProto, path: Path, data: ExternalData | None) -> None:
    """Write a checked model; `data` takes its weights where they do not belong into the file."""
    check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    if data:
        data.move(model)
    with path.open("wb") as stream:
        _serialize(model, stream.write)


# Wire tags of protobuf, field number << 3 | 2 (length-delimited), from onnx.proto.
_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_RAW_DATA = (bytes([field << 3 | 2]) for field in (7, 5, 9))


def _serialize(model: onnx.ModelProto, write: Callable[[bytes], int]) -> None:
    """The bytes of `model.SerializeToString()` up to the order of fields, without a copy of all weights in memory."""
    tensors = model.graph.initializer
    rest = onnx.GraphProto(name=model.graph.name)
    for name in ("node", "input", "output", "value_info"):
        getattr(rest, name).extend(getattr(model.graph, name))
    graph = rest.SerializeToString()
    size = len(graph) + sum(
        len(_GRAPH_INITIALIZER + _varint(tensor.ByteSize())) + tensor.ByteSize() for tensor in tensors
    )
    head = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    head.opset_import.extend(model.opset_import)
    head.metadata_props.extend(model.metadata_props)
    write(head.SerializeToString() + _MODEL_GRAPH + _varint(size) + graph)
    for tensor in tensors:
        write(_GRAPH_INITIALIZER + _varint(tensor.ByteSize()))
        if len(tensor.raw_data) < _SMALL:
            write(tensor.SerializeToString())
            continue
        facts = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        write(facts.SerializeToString() + _TENSOR_RAW_DATA + _varint(len(tensor.raw_data)))
        write(tensor.raw_data)


def _varint(value: int) -> bytes:
    """Seven bits a byte, low ones first, the high bit set on all but the last."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def external_data(graph: Path, model: onnx.ModelProto, wanted: bool) -> ExternalData | None:
    """A file for the weights beside `graph`, if it is wanted or the model is too large for one protobuf file."""
    if not wanted and sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= _PROTOBUF_LIMIT:
        return None
    graph.parent.mkdir(parents=True, exist_ok=True)
    return ExternalData(graph.with_name(f"{graph.name}_data"))


def check_model(model: onnx.ModelProto) -> None:
    """onnx.checker's full check, and no initialiser without a reader. An error here is a bug of a target."""
    used = {name for node in model.graph.node for name in node.input}
    unused = [tensor.name for tensor in model.graph.initializer if tensor.name not in used]
    if unused:
        raise Error(
            f"graph {model.graph.name!r} has initialisers that nothing reads: {', '.join(unused)}. This is a bug."
        )
    try:
        onnx.checker.check_model(without_weights(model), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, DecodeError) as error:
        raise Error(f"graph {model.graph.name!r} is not valid ONNX: {error}. This is a bug.") from error


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with large weights as inputs, since the checker would copy every byte of them twice."""
    light = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    light.opset_import.extend(model.opset_import)
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < _SMALL:
            graph.initializer.append(tensor)
        else:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return light
