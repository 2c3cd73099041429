"""The CUDA operators, thread for thread on a CPU, against their definitions."""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from strizh.kernels import reference
from strizh.kernels.native_cuda import Attention, CudaKernels, Packed
from strizh.kernels.reference_cuda import packed_attention, packed_qkv

TYPES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16), "float32": np.dtype(np.float32)}
# Rounding of one stored number: half a unit in the last of 11 or 8 digits.
EPS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24}
# No tokens, one, and around the 64 queries and keys of a block.
LENGTHS = (1, 0, 63, 64, 65, 2, 130)
Random = np.random.Generator


def at(array: np.ndarray | None) -> int:
    return 0 if array is None else array.ctypes.data


def packed(lengths: tuple[int, ...]) -> tuple[Packed, np.ndarray]:
    cu_seqlens = np.cumsum([0, *lengths]).astype(np.int32)
    return Packed(at(cu_seqlens), int(cu_seqlens[-1]), len(lengths)), cu_seqlens


@dataclass
class Case:
    """Packed attention of some geometry, with what it may have beside."""

    num_heads: int = 2
    num_kv_heads: int = 2
    head_size: int = 64
    scale: float = 0.125
    rope_dim: int = 0
    window: int = -1
    causal: bool = False
    reach: int = 0
    head_norm: bool = False
    bias: bool = False
    lengths: tuple[int, ...] = LENGTHS


CASES = {
    "bert": Case(),
    "ropebert with bias": Case(rope_dim=64, bias=True, lengths=(65, 20)),
    "heads of 26": Case(head_size=26, bias=True, lengths=(65, 20)),
    "half rotated heads of 26": Case(head_size=26, rope_dim=12, lengths=(65, 20)),
    "heads of 128": Case(head_size=128, lengths=(70, 5)),
    "heads of 200": Case(head_size=200, lengths=(70, 5)),
    "window": Case(head_size=32, window=7),
    "window wider than a block": Case(head_size=32, window=70, lengths=(300, 3)),
    "causal, shared key heads, head norms": Case(
        num_heads=4, num_kv_heads=2, head_size=32, rope_dim=32, causal=True, head_norm=True, lengths=(1, 66, 20)
    ),
    "t5": Case(head_size=32, scale=1.0, reach=20),
    "causal window with relative bias": Case(head_size=32, causal=True, window=9, reach=4, lengths=(66, 20)),
    "large scores": Case(head_size=32, scale=40.0, lengths=(66, 20)),
}  # fmt: skip


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_cuda_attention_is_its_definition(emulated: CudaKernels, name: str, element: str) -> None:
    case, kind, rng = CASES[name], TYPES[element], np.random.default_rng(3)
    batch, cu_seqlens = packed(case.lengths)
    heads = case.num_heads + 2 * case.num_kv_heads
    qkv = rng.normal(size=(batch.tokens, heads * case.head_size)).astype(kind)
    options: dict[str, Any] = dict.fromkeys(("bias", "cos", "sin", "q_norm", "k_norm"))
    if case.bias:
        options["bias"] = rng.normal(size=heads * case.head_size).astype(kind)
    if case.rope_dim:
        angle = rng.uniform(0, 6, (batch.tokens, case.rope_dim // 2))
        options |= {"cos": np.cos(angle).astype(np.float32), "sin": np.sin(angle).astype(np.float32)}
    if case.head_norm:
        options |= {f"{side}_norm": rng.normal(1, 0.1, case.head_size).astype(np.float32) for side in "qk"}
    table = rng.normal(size=(2 * case.reach + 1, case.num_heads)).astype(np.float32) if case.reach else None

    sizes = {"num_heads": case.num_heads, "num_kv_heads": case.num_kv_heads, "head_size": case.head_size}
    settings = Attention(
        element=element, scale=case.scale, rope_dim=case.rope_dim, window=case.window, causal=case.causal,
        reach=case.reach, norm_eps=1e-6, **sizes,
    )  # fmt: skip
    workspace = np.full((batch.tokens, emulated.attention_columns(settings)), np.nan, kind)
    out = np.full((batch.tokens, case.num_heads * case.head_size), np.nan, kind)
    pointers = {option: at(array) for option, array in options.items()}
    emulated.attention(settings, batch, at(qkv), at(workspace), at(out), relative_bias=at(table), **pointers)

    exact = {option: None if array is None else array.astype(np.float64) for option, array in options.items()}
    sides = packed_qkv(qkv.astype(np.float64), **exact, norm_eps=1e-6, **sizes)
    q, k, v = (side.astype(kind).astype(np.float64) for side in sides)  # the kernel rounds them too
    limits = {"window": case.window, "causal": case.causal, "relative_bias": table}
    expected = packed_attention(q, k, v, cu_seqlens, scale=case.scale, **limits).reshape(out.shape)
    # Probabilities and the result are rounded once each, values are around 1; a rounded q or k may fall to the other side.
    scores = case.scale * np.sqrt(case.head_size)
    np.testing.assert_allclose(out.astype(np.float64), expected, rtol=0, atol=(6 + 2 * scores) * EPS[element])


def test_cuda_attention_of_a_text_does_not_depend_on_its_neighbours(emulated: CudaKernels) -> None:
    settings = Attention(num_heads=1, num_kv_heads=1, head_size=32, scale=0.2)

    def run(qkv: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
        batch, _alive = packed(lengths)
        out = np.empty((batch.tokens, 32), np.float16)
        workspace = np.empty((batch.tokens, emulated.attention_columns(settings)), np.float16)
        emulated.attention(settings, batch, at(qkv), at(workspace), at(out))
        return out

    qkv = np.random.default_rng(1).normal(size=(90, 96)).astype(np.float16)
    together = run(qkv, (5, 70, 15))
    np.testing.assert_array_equal(run(qkv[5:75].copy(), (70,)), together[5:75])


@pytest.mark.parametrize("scaling", ["none", "linear", "dynamic", "ntk"])
def test_cuda_angles_are_the_definitions(emulated: CudaKernels, scaling: str) -> None:
    options: dict[str, Any] = {"theta": 1e4, "dim": 16, "scaling": scaling, "factor": 2.0, "trained_positions": 32}
    batch, cu_seqlens = packed(LENGTHS)
    cos, sin = (np.full((batch.tokens, 8), np.nan, np.float32) for _ in range(2))
    emulated.rotary(batch, at(cos), at(sin), **options)
    for text in reference.texts(cu_seqlens):
        length = text.stop - text.start
        angle = np.outer(np.arange(length), reference.inverse_frequencies(length=length, **options))
        # An angle of up to 130 is a float32 before its cosine is taken.
        np.testing.assert_allclose(cos[text], np.cos(angle), atol=130 * 2.0**-24 + 1e-6, rtol=0)
        np.testing.assert_allclose(sin[text], np.sin(angle), atol=130 * 2.0**-24 + 1e-6, rtol=0)


@pytest.mark.parametrize("element", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("kind", ["mean", "cls", "max", "last", "mean_sqrt_len_tokens", "weightedmean"])
def test_cuda_pooling_is_its_definition(emulated: CudaKernels, kind: str, element: str) -> None:
    batch, cu_seqlens = packed(LENGTHS)
    hidden = np.random.default_rng(2).normal(size=(batch.tokens, 40)).astype(TYPES[element])
    out = np.full((batch.batch, 40), np.nan, np.float32)
    emulated.pooling(batch, 40, at(hidden), at(out), kind=kind, element=element)
    expected = reference.pool(hidden.astype(np.float64), cu_seqlens, kind)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)  # sums of 130 float32 numbers around 1, and less


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
def test_cuda_skip_norm_is_its_definition(emulated: CudaKernels, kind: str, element: str) -> None:
    rng, size = np.random.default_rng(2), 300
    x, skip = (rng.normal(size=(5, size)).astype(TYPES[element]) for _ in range(2))
    bias, weight, shift = (rng.normal(size=size).astype(TYPES[element]) for _ in range(3))
    out = np.full_like(x, np.nan)
    given = {"skip": skip, "bias": bias} | ({"shift": shift} if kind == "layer_norm" else {})
    pointers = {name: at(array) for name, array in given.items()}
    emulated.skip_norm(5, size, at(x), at(weight), at(out), kind=kind, eps=1e-5, element=element, **pointers)
    total = x.astype(np.float64) + skip.astype(np.float64) + bias.astype(np.float64)
    expected = reference.norm(
        total, weight.astype(np.float64), shift.astype(np.float64) if "shift" in given else None, kind=kind, eps=1e-5
    )
    np.testing.assert_allclose(out.astype(np.float64), expected, rtol=EPS[element], atol=2e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"head_size": 300}, "head_size is not within 1 to 256"),
        ({"num_kv_heads": 3}, "num_heads is no multiple of num_kv_heads"),
        ({"rope_dim": 3}, "rope_dim is odd"),
        ({"rope_dim": 8}, "cos and sin do not go with rope_dim"),
        ({"reach": 8}, "reach is not that of relative_bias"),
        ({"element": "float32"}, "element is 2; expected 0"),
    ],
)
def test_cuda_refuses_with_one_sentence(emulated: CudaKernels, changes: dict[str, Any], sentence: str) -> None:
    settings = Attention(**({"num_heads": 2, "num_kv_heads": 2, "head_size": 32, "scale": 1.0} | changes))
    batch, _alive = packed((3,))
    array = np.zeros((3, 999), np.float16)
    with pytest.raises(ValueError, match=sentence):
        emulated.attention(settings, batch, at(array), at(array), at(array))


def test_cuda_of_no_token_at_all(emulated: CudaKernels) -> None:
    settings = Attention(num_heads=1, num_kv_heads=1, head_size=32, scale=0.2)
    batch, _alive = packed((0, 0))
    out = np.full((2, 8), np.nan, np.float32)
    emulated.attention(settings, batch, 0, 0, 0)
    emulated.pooling(batch, 8, 0, at(out), kind="mean")
    assert not out.any()
