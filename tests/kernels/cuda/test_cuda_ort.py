"""The CUDA operators as ONNX Runtime calls them: its CPU provider runs their emulated twins, one by one and in whole graphs."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from strizh.export import reference as model_reference
from strizh.export.spec import Activation, EncoderSpec, Layer, Norm, Pooling, Positions, Rope
from strizh.export.targets import cuda
from strizh.kernels import reference
from strizh.kernels.reference_cuda import packed_attention, packed_qkv
from strizh.runtime.batching import PackedBatch
from strizh.runtime.packing import packed_inputs

RNG = np.random.default_rng(8)
CU_SEQLENS = np.array([0, 5, 5, 70, 71], np.int32)
EPS = {np.dtype(np.float16): 2.0**-11, np.dtype(ml_dtypes.bfloat16): 2.0**-8}


def run(library: Path, model: onnx.ModelProto, **feed: np.ndarray) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(library))
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, feed)
    return found


def node_of(op: str, inputs: dict[str, np.ndarray | None], kind: int, **attributes: Any) -> onnx.ModelProto:
    """One node between casts: NumPy has no bfloat16 that ONNX Runtime takes."""
    given, nodes, names = [], [], []
    for name, array in inputs.items():
        if array is None:
            names.append("")
            continue
        half = array.dtype in EPS
        stored = TensorProto.FLOAT if half else helper.np_dtype_to_tensor_dtype(array.dtype)
        given.append(helper.make_tensor_value_info(name, stored, array.shape))
        if half:
            nodes.append(helper.make_node("Cast", [name], [f"{name}_half"], to=kind))
        names.append(f"{name}_half" if half else name)
    nodes += [
        helper.make_node(op, names, ["y"], domain="strizh", **attributes),
        helper.make_node("Cast", ["y"], ["out"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(nodes, "g", given, [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("strizh", 1)], ir_version=8
    )


def fed(inputs: dict[str, np.ndarray | None]) -> dict[str, np.ndarray]:
    return {
        name: array.astype(np.float32) if array.dtype in EPS else array
        for name, array in inputs.items()
        if array is not None
    }


ATTENTION = {
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_size": 32,
    "scale": 0.2,
    "window": 9,
    "causal": 1,
    "norm_eps": 1e-6,
}


@pytest.mark.parametrize("half", EPS, ids=str)
@pytest.mark.parametrize("everything", [True, False], ids=["every input", "no optional input"])
def test_cuda_attention_in_onnxruntime_is_its_definition(
    emulated_library: Path, half: np.dtype[Any], everything: bool
) -> None:
    columns, tokens = (4 + 2 * 2) * 32, int(CU_SEQLENS[-1])
    angle = RNG.uniform(0, 6, (tokens, 16))
    inputs: dict[str, Any] = {"qkv": RNG.normal(size=(tokens, columns)).astype(half), "cu_seqlens": CU_SEQLENS}
    optional: dict[str, Any] = {
        "bias": RNG.normal(size=columns).astype(half),
        "cos": np.cos(angle).astype(np.float32),
        "sin": np.sin(angle).astype(np.float32),
        "q_norm": RNG.normal(1, 0.1, 32).astype(np.float32),
        "k_norm": RNG.normal(1, 0.1, 32).astype(np.float32),
        "relative_bias": RNG.normal(size=(11, 4)).astype(np.float32),
    }
    options = optional if everything else dict.fromkeys(optional)
    kind = helper.np_dtype_to_tensor_dtype(half)
    inputs |= {name: array for name, array in options.items() if array is not None}
    (found,) = run(emulated_library, node_of("PackedAttention", inputs, kind, **ATTENTION), **fed(inputs))
    relative = options.pop("relative_bias")
    heads = {name: ATTENTION[name] for name in ("num_heads", "num_kv_heads", "head_size")}
    qkv = inputs["qkv"].astype(np.float64)
    q, k, v = packed_qkv(qkv, *options.values(), norm_eps=1e-6, **heads)
    exact = packed_attention(q, k, v, CU_SEQLENS, scale=0.2, window=9, causal=True, relative_bias=relative)
    # q, k, the shares and the result are rounded; scores of some ten turn the first two into as many relative errors.
    limit = 20 * EPS[half] * np.abs(v).max()
    np.testing.assert_allclose(found, exact.reshape(tokens, -1), rtol=0, atol=limit)


def test_cuda_pooling_in_onnxruntime_is_its_definition(emulated_library: Path) -> None:
    inputs = {"hidden": RNG.normal(size=(71, 24)).astype(np.float32), "cu_seqlens": CU_SEQLENS}
    for kind in ("mean", "max", "last", "weightedmean"):
        (found,) = run(emulated_library, node_of("Pooling", dict(inputs), TensorProto.FLOAT, pooling=kind), **inputs)
        np.testing.assert_allclose(found, reference.pool(inputs["hidden"], CU_SEQLENS, kind), rtol=0, atol=1e-5)


def test_cuda_operators_refuse_what_does_not_fit_in_one_line(emulated_library: Path) -> None:
    inputs: dict[str, Any] = {"qkv": np.zeros((71, 250), np.float16), "cu_seqlens": CU_SEQLENS}
    with pytest.raises(
        Exception, match="strizh PackedAttention: qkv has 250 columns; expected 256, from the node's attrib"
    ):
        run(emulated_library, node_of("PackedAttention", inputs, TensorProto.FLOAT16, **ATTENTION), **fed(inputs))
    inputs = {"hidden": np.zeros((71, 24), np.float32), "cu_seqlens": CU_SEQLENS}
    with pytest.raises(Exception, match="attribute pooling is 'median'; expected one of mean, cls"):
        run(emulated_library, node_of("Pooling", inputs, TensorProto.FLOAT, pooling="median"), **inputs)


_PLAIN: dict[str, Any] = {
    "attention_bias": (False,) * 4, "mlp_bias": (False, False), "norm_bias": False, "pre_norm": True, "final_norm": True,
    "gated_mlp": True, "norm_eps": 1e-6,
}  # fmt: skip
BASE: dict[str, Any] = {
    "family": "test", "vocab_size": 40, "hidden_size": 48, "num_heads": 2, "num_kv_heads": 2, "head_size": 24,
    "intermediate_size": 80, "max_positions": 64, "position_offset": 0, "pad_token_id": 1, "attention_scale": 0.2, **_PLAIN,
}  # fmt: skip
SPECS = {
    "modernbert": EncoderSpec(
        **BASE, layers=(Layer(Rope(1e4, 24), window=5, attention_norm=False), Layer(Rope(1e4, 24), window=3)),
        positions=Positions.ROTARY, activation=Activation.GELU,
    ),
    "t5": EncoderSpec(
        **BASE, layers=(Layer(), Layer()), positions=Positions.RELATIVE_BIAS, relative_buckets=8, relative_max_distance=20,
        activation=Activation.GELU_TANH, norm=Norm.RMS, embedding_norm=False, pooling=(Pooling.MAX,),
    ),
    "qwen3": EncoderSpec(
        **(BASE | {"num_kv_heads": 1}), layers=(Layer(Rope(1e6, 24)),) * 2, positions=Positions.ROTARY, head_norm=True,
        causal=True, activation=Activation.SILU, norm=Norm.RMS, embedding_norm=False, pooling=(Pooling.LAST,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_cuda_graph_with_own_operators_runs_in_onnxruntime(emulated_library: Path, name: str) -> None:
    """From the ids to the vector, nothing of it written out in NumPy. (A layer that sees everything is not among them: its
    operator is ONNX Runtime's own, and only its CUDA provider has that.)"""
    spec, draw = SPECS[name], np.random.default_rng(0)
    weights = {
        slot: (draw.normal(size=shape) * shape[-1] ** -0.5 + ("norm" in slot)).astype(np.float32)
        for slot, shape in spec.slots()
    }
    texts = [[0, 2], [0, 7, 1, 9, 2], [0, *range(4, 34), 2]]
    _, found, checksum = run(
        emulated_library, cuda.build(spec, weights, precision="fp16"), **packed_inputs(PackedBatch.pack(texts))
    )
    exact = model_reference.run(spec, weights, texts).sentence_embedding
    cosine = (found * exact).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 0.9999
    # A sum of float32 is off by at most a rounding of each of its terms' sizes together.
    np.testing.assert_allclose(checksum, [[found.astype(np.float64).sum()]], atol=found.size * 6e-8 * np.abs(found).sum())
