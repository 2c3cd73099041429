"""The variants a bundle can hold, as constants that a person can read."""

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from strizh.runtime.errors import BundleError, UsageError


@dataclass(frozen=True, slots=True)
class Promise:
    """What a variant's unit vectors keep of the float32 model's. A bundle that misses it is not written."""

    cosine_min: float
    cosine_mean: float
    max_abs: float | None = None

    @property
    def goal(self) -> "Promise":
        """What int8 should reach on the calibration texts: the worst of thousands of others loses more than theirs."""
        return Promise(1 - (1 - self.cosine_min) / 2, 1 - (1 - self.cosine_mean) * 3 / 4)

    def and_at_most(self, other: "Promise") -> "Promise":
        """What is left of it where `other` is all that can be kept as well; `other` has no `max_abs`."""
        return Promise(min(self.cosine_min, other.cosine_min), min(self.cosine_mean, other.cosine_mean))


@dataclass(frozen=True, slots=True)
class Int8:
    """How products become int8.

    `weight_max`: largest code of a weight. `static_norms`: one activation scale for all tokens where a norm's output is
    multiplied, whose rows all have one length; elsewhere, and everywhere without it, each token has its own, unless
    `static_rest` says that the engine takes static ones only. `own_zero`: and each its own zero, and its outlier apart.
    `headroom`: how far beyond the calibration texts a static scale reaches. `alphas` are tried at each site, beside none: the
    share of its outliers that moves into the weights (SmoothQuant, Xiao et al., 2023).
    """

    weight_max: int
    static_norms: bool
    static_rest: bool = False
    own_zero: bool = False
    headroom: float = 1.0
    alphas: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One variant: where its graph goes and what it promises. `external`: weights beside the graph, to be mapped."""

    name: str
    target: str
    precision: str
    file: str
    classifier: str
    promise: Promise
    external: bool = False
    int8: Int8 | None = None


_FLOAT32 = Promise(cosine_min=0.999999, cosine_mean=0.999999, max_abs=2e-5)
_BFLOAT16 = Promise(cosine_min=0.9998, cosine_mean=0.9999)
_PACKED_INT8 = Promise(cosine_min=0.998, cosine_mean=0.9992)
_FLOAT16 = Promise(cosine_min=0.9995, cosine_mean=0.9999)
_GPU_FLOAT16 = Promise(cosine_min=0.9999, cosine_mean=0.9999)
INT8_TABLE = Promise(cosine_min=0.9995, cosine_mean=0.9999)
_PORTABLE_INT8 = Promise(cosine_min=0.990, cosine_mean=0.997)

# CPUs without VNNI multiply U8 by S8 with vpmaddubsw, which adds two products into an int16 and saturates there. Weights
# within ±63 keep every such sum within it, 2 * 255 * 63 = 32130, whatever the activations are. Giving the bit away at
# the activations instead costs twice as much accuracy (multilingual-e5-small: cosine .9990 against .9994).
ANY_CPU = Int8(weight_max=63, static_norms=True, headroom=1.1)
# All eight bits: more accurate, but wrong wherever a CPU without VNNI meets two large products side by side.
VNNI = Int8(weight_max=127, static_norms=True, headroom=1.1)
INT8_RECIPES = {"any-cpu": ANY_CPU, "vnni": VNNI}
# The cpu kernels: every row its own scale and zero, nothing saturates.
PACKED = Int8(weight_max=127, static_norms=False, own_zero=True)
# TensorRT's products of integers take one scale for all activations.
STATIC = Int8(weight_max=127, static_norms=True, static_rest=True, headroom=1.1)

PORTABLE_FP32 = Recipe("portable-fp32", "portable", "fp32", "onnx/model.onnx", "onnx/classifier.onnx", _FLOAT32)
PORTABLE_FP16 = Recipe(
    "portable-fp16", "portable", "fp16", "onnx/model_fp16.onnx", "onnx/classifier_fp16.onnx", _FLOAT16
)
PORTABLE_INT8 = Recipe(
    "portable-int8",
    "portable",
    "int8",
    "onnx/model_quantized.onnx",
    "onnx/classifier_quantized.onnx",
    _PORTABLE_INT8,
    int8=ANY_CPU,
)
ORT_FP32 = Recipe("ort-fp32", "ort", "fp32", "onnx/model_ort.onnx", "onnx/classifier_ort.onnx", _FLOAT32)
CPU_FP32 = Recipe("cpu-fp32", "cpu", "fp32", "packed/cpu_fp32.onnx", "packed/cpu_fp32_classifier.onnx", _FLOAT32, True)
CPU_BF16 = Recipe("cpu-bf16", "cpu", "bf16", "packed/cpu_bf16.onnx", "packed/cpu_bf16_classifier.onnx", _BFLOAT16, True)
CPU_INT8 = Recipe(
    "cpu-int8",
    "cpu",
    "int8",
    "packed/cpu_int8.onnx",
    "packed/cpu_int8_classifier.onnx",
    _PACKED_INT8,
    external=True,
    int8=PACKED,
)
CUDA_FP16 = Recipe(
    "cuda-fp16", "cuda", "fp16", "packed/cuda_fp16.onnx", "packed/cuda_fp16_classifier.onnx", _GPU_FLOAT16, True
)
CUDA_BF16 = Recipe(
    "cuda-bf16", "cuda", "bf16", "packed/cuda_bf16.onnx", "packed/cuda_bf16_classifier.onnx", _BFLOAT16, True
)
TENSORRT_FP16 = Recipe(
    "tensorrt-fp16", "tensorrt", "fp16", "tensorrt/model_fp16.onnx", "tensorrt/classifier_fp16.onnx", _GPU_FLOAT16
)
TENSORRT_BF16 = Recipe(
    "tensorrt-bf16", "tensorrt", "bf16", "tensorrt/model_bf16.onnx", "tensorrt/classifier_bf16.onnx", _BFLOAT16
)
TENSORRT_INT8 = Recipe(
    "tensorrt-int8",
    "tensorrt",
    "int8",
    "tensorrt/model_int8.onnx",
    "tensorrt/classifier_int8.onnx",
    _PORTABLE_INT8,
    int8=STATIC,
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        *(PORTABLE_FP32, PORTABLE_FP16, PORTABLE_INT8, ORT_FP32),
        *(CPU_FP32, CPU_BF16, CPU_INT8, CUDA_FP16, CUDA_BF16),
        *(TENSORRT_FP16, TENSORRT_BF16, TENSORRT_INT8),
    )
}


def promise_of(name: str, details: Mapping[str, Any]) -> Promise:
    """What a variant of a bundle promises: its recipe's, or what its export changed it to; `BundleError` for what is none."""
    if (changed := details.get("promise")) is None:
        return find_recipe(name).promise
    try:
        promise = Promise(**changed)
        math.fsum(figure for figure in astuple(promise) if figure is not None)
    except TypeError:
        raise BundleError(
            f"the details of {name} hold no promise but {changed!r:.80}; expected the least and the mean cosine. "
            "Export the bundle again."
        ) from None
    return promise


def find_recipe(name: str) -> Recipe:
    """The recipe of a variant by name."""
    if name not in RECIPES:
        raise UsageError(f"variant {name!r} is not known; known: {', '.join(RECIPES)}.")
    return RECIPES[name]
