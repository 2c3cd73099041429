"""A graph in float16 where that is safe: products, attention and activations of the layers.

Norms, softmax, the residual stream, embeddings, rotary angles, pooling and heads stay in float32, and so do inputs and
outputs. An Add with a float32 value on either side is a float32 one: that keeps the residual stream and the mask.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from strizh.export.passes.rewriter import Rewriter
from strizh.export.write import without_weights

# Added to the scores of masked keys: finite in float16 too, for a runtime that takes even these from it.
MASKED = -30_000.0
_FLOAT32_OPS = {"LayerNormalization", "Softmax", "Cast"}
_TABLES = ("embeddings.word", "embeddings.position")  # stored in float16; what is looked up becomes float32 at once
_FLOAT32_SCOPE = "rms_norm"


def to_half(model: onnx.ModelProto) -> None:
    """Change the layers' arithmetic to float16, in place."""
    floats = _float_values(model)
    rewriter = Rewriter(model)
    unseen = {name for name in floats if rewriter.is_scalar(name) and rewriter.array(name) < MASKED}
    made_half: set[str] = set()
    cast: dict[tuple[str, int], str] = {}

    def converted(name: str, kind: int) -> str:
        """The value in float16 or float32, by one Cast for all its readers."""
        if name in unseen:
            return rewriter.store("mask/unseen", np.float32(MASKED))
        if name not in floats or (name in made_half) == (kind == TensorProto.FLOAT16):
            return name
        if rewriter.is_initializer(name):
            return rewriter.store(f"{name}.fp16", _rounded(rewriter, name)) if kind == TensorProto.FLOAT16 else name
        if (name, kind) not in cast:
            suffix = "fp16" if kind == TensorProto.FLOAT16 else "fp32"
            cast[name, kind] = rewriter.add("Cast", [name], f"{name}/{suffix}", to=kind)
        return cast[name, kind]

    def promotes(node: onnx.NodeProto) -> bool:
        values = [name for name in node.input if name in floats and not rewriter.is_initializer(name)]
        return node.op_type == "Add" and any(name not in made_half for name in values)

    for node in rewriter.old:
        scopes = node.name.split("/")
        half = scopes[0].startswith("layers.") and _FLOAT32_SCOPE not in scopes and node.op_type not in _FLOAT32_OPS
        half = half and node.output[0] in floats and not promotes(node)
        if node.op_type == "Gather" and node.input[0] in _TABLES:
            name = node.output[0]
            node.input[0], node.output[0] = converted(node.input[0], TensorProto.FLOAT16), f"{name}/fp16"
            node.name = node.output[0]
            rewriter.keep(node)
            rewriter.add("Cast", [node.output[0]], name, to=TensorProto.FLOAT)
            continue
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        node.input[:] = [converted(name, kind) for name in node.input]
        if half:
            made_half.update(name for name in node.output if name in floats)
        rewriter.keep(node)
    rewriter.finish()


def _float_values(model: onnx.ModelProto) -> set[str]:
    """Names of all float32 values, initialisers among them."""
    graph = onnx.shape_inference.infer_shapes(without_weights(model), strict_mode=True).graph
    typed = [*graph.value_info, *graph.input, *graph.output]
    known = {value.name for value in typed if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return known | {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}


def _rounded(rewriter: Rewriter, name: str) -> NDArray[np.float16]:
    # A weight beyond float16's range becomes the largest there is; the parity check says what that costs.
    limit = np.finfo(np.float16).max
    return np.asarray(np.clip(rewriter.array(name), -limit, limit), np.float16)
