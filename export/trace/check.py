"""A traced graph against the module that it was traced from, at shapes that the trace has not seen."""

from collections.abc import Iterable

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from strizh.runtime.errors import ParityError

LIMIT = 2e-5  # of a vector's length: the project's limit for float32 on unit vectors
_SMALL = 1024  # bytes; shorter initialisers stay in the graph, where shape inference can see them


def check(
    model: onnx.ModelProto, module: nn.Module, shapes: Iterable[tuple[int, int]], vocab_size: int, pad: int
) -> None:
    """Compare both outputs at each (batch, longest text in tokens); raises `ParityError` that names the first bad shape.

    Texts of a batch have different lengths, padding is not compared.
    """
    session = _session(model)
    rng = np.random.default_rng(0)
    for batch, longest in shapes:
        lengths = np.linspace(longest, 1, batch).astype(int)
        attention_mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        words = rng.integers(0, vocab_size, attention_mask.shape)
        words[words == pad] = (pad + 1) % vocab_size
        feed = {"input_ids": np.where(attention_mask, words, pad), "attention_mask": attention_mask}
        found = session.run(["token_embeddings", "sentence_embedding"], feed)
        with torch.no_grad():
            expected = [side.numpy() for side in module(*map(torch.from_numpy, feed.values()))]
        seen = attention_mask.astype(bool)
        deviation = max(_deviation(found[0][seen], expected[0][seen]), _deviation(found[1], expected[1]))
        if not deviation <= LIMIT:
            raise ParityError(
                f"the traced graph is {deviation:.1e} away from PyTorch at {batch} x {longest} tokens, expected at most "
                f"{LIMIT:.0e} of a vector's length. Tracing cannot express this model: it needs a family of its own."
            )


def _deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference of an element, in lengths of the expected vector."""
    length = np.linalg.norm(expected, axis=-1, keepdims=True)
    return float(np.max(np.abs(found - expected) / np.maximum(length, 1e-12)))


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session over the model in memory, which protobuf alone could not hand over above 2 GB."""
    light = onnx.ModelProto()
    light.CopyFrom(onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import))
    light.graph.CopyFrom(
        onnx.GraphProto(
            name=model.graph.name, node=model.graph.node, input=model.graph.input, output=model.graph.output
        )
    )
    values = {}
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < _SMALL:
            light.graph.initializer.append(tensor)
            continue
        values[tensor.name] = onnxruntime.OrtValue.ortvalue_from_numpy(numpy_helper.to_array(tensor))
        outside = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        outside.data_location = TensorProto.EXTERNAL
        outside.external_data.add(key="location", value="in-memory")
        light.graph.initializer.append(outside)
    options = onnxruntime.SessionOptions()
    options.add_external_initializers(list(values), list(values.values()))
    return onnxruntime.InferenceSession(light.SerializeToString(), options, providers=["CPUExecutionProvider"])
