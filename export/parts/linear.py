"""Linear layers and norms."""

import numpy as np

from strizh.export.graph import Graph
from strizh.export.spec import EncoderSpec, Norm
from strizh.export.weights import Array

_ONE_NODE = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def transposed(weight: Array) -> Array:
    """[out_features, in_features] as checkpoints store it to [in_features, out_features] as MatMul reads it."""
    return np.ascontiguousarray(weight.T)


def linear(g: Graph, x: str, slot: str, bias: bool = True) -> str:
    """x @ weight.T + bias over the last axis."""
    product = g.node("MatMul", x, g.weight(f"{slot}.weight", transposed))
    return str(g.node("Add", product, g.weight(f"{slot}.bias")) if bias else product)


def norm(g: Graph, spec: EncoderSpec, x: str, slot: str) -> str:
    """The spec's norm over the last axis, float32."""
    weight = g.weight(f"{slot}.weight")
    if spec.norm is Norm.LAYER:
        bias = [g.weight(f"{slot}.bias")] if spec.norm_bias else []
        return str(g.node("LayerNormalization", x, weight, *bias, axis=-1, epsilon=spec.norm_eps))
    return rms_norm(g, x, weight, spec.norm_eps)


def rms_norm(g: Graph, x: str, weight: str, eps: float) -> str:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis."""
    with g.scope("rms_norm"):  # the form that ONNX Runtime fuses into one kernel
        square = g.reduce("ReduceMean", g.node("Pow", x, g.constant(2.0)), -1)
        root = g.node("Sqrt", g.node("Add", square, g.constant(eps)))
        return str(g.node("Mul", g.node("Div", x, root), weight))


def activation(g: Graph, kind: str, x: str) -> str:
    """`Activation` of a feed-forward, or tanh, sigmoid or identity of a head, in operators of opset 17."""
    match kind:
        case "gelu":  # the form that ONNX Runtime and OpenVINO fuse into one kernel
            erf = g.node("Erf", g.node("Div", x, g.constant(np.sqrt(np.float32(2)))))
            return str(g.node("Mul", g.node("Mul", x, g.node("Add", erf, g.constant(1.0))), g.constant(0.5)))
        case "gelu_tanh":
            cube = g.node("Mul", g.node("Mul", g.node("Mul", x, x), x), g.constant(0.044715))
            inner = g.node("Mul", g.node("Add", x, cube), g.constant(np.sqrt(2 / np.pi)))
            tanh = g.node("Add", g.node("Tanh", inner), g.constant(1.0))
            return str(g.node("Mul", g.node("Mul", x, tanh), g.constant(0.5)))
        case "silu":
            return str(g.node("Mul", x, g.node("Sigmoid", x)))
        case "identity":
            return x
    return str(g.node(_ONE_NODE[kind], x))
