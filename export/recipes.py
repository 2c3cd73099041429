"""The variants a bundle can hold, as constants that a person can read."""

from dataclasses import dataclass

from strizh.runtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class Promise:
    """What a variant's unit vectors keep of the float32 model's. A bundle that misses it is not written."""

    cosine_min: float
    cosine_mean: float
    max_abs: float | None = None


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


_FLOAT32 = Promise(cosine_min=0.999999, cosine_mean=0.999999, max_abs=2e-5)
_FLOAT16 = Promise(cosine_min=0.9999, cosine_mean=0.9999)
_BFLOAT16 = Promise(cosine_min=0.9998, cosine_mean=0.9999)
_PACKED_INT8 = Promise(cosine_min=0.998, cosine_mean=0.9992)

PORTABLE_FP32 = Recipe("portable-fp32", "portable", "fp32", "onnx/model.onnx", "onnx/classifier.onnx", _FLOAT32)
ORT_FP32 = Recipe("ort-fp32", "ort", "fp32", "onnx/model_ort.onnx", "onnx/classifier_ort.onnx", _FLOAT32)
CPU_FP32 = Recipe("cpu-fp32", "cpu", "fp32", "packed/cpu_fp32.onnx", "packed/cpu_fp32_classifier.onnx", _FLOAT32, True)
CPU_BF16 = Recipe("cpu-bf16", "cpu", "bf16", "packed/cpu_bf16.onnx", "packed/cpu_bf16_classifier.onnx", _BFLOAT16, True)
CPU_INT8 = Recipe(
    "cpu-int8", "cpu", "int8", "packed/cpu_int8.onnx", "packed/cpu_int8_classifier.onnx", _PACKED_INT8, True
)
CUDA_FP16 = Recipe(
    "cuda-fp16", "cuda", "fp16", "packed/cuda_fp16.onnx", "packed/cuda_fp16_classifier.onnx", _FLOAT16, True
)
CUDA_BF16 = Recipe(
    "cuda-bf16", "cuda", "bf16", "packed/cuda_bf16.onnx", "packed/cuda_bf16_classifier.onnx", _BFLOAT16, True
)

RECIPES = {
    recipe.name: recipe for recipe in (PORTABLE_FP32, ORT_FP32, CPU_FP32, CPU_BF16, CPU_INT8, CUDA_FP16, CUDA_BF16)
}


def find_recipe(name: str) -> Recipe:
    """The recipe of a variant by name."""
    if name not in RECIPES:
        raise UsageError(f"variant {name!r} is not known; known: {', '.join(RECIPES)}.")
    return RECIPES[name]
