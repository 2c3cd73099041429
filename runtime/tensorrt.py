"""TensorRT as this machine has it: ONNX Runtime's two providers of it, and the options that each is opened with.

Names of options: ONNX Runtime's page of its TensorRT provider, and tensorrt_rtx_provider_options.h of NVIDIA's plug-in.
"""

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime

from strizh.runtime.cuda import find_gpu
from strizh.runtime.engines import Engine, Profile
from strizh.runtime.errors import DeviceError

CLASSIC, RTX = "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"
PLUG_IN = "onnxruntime_ep_nv_tensorrt_rtx"
MISSING = (
    "needs TensorRT, and neither of ONNX Runtime's providers of it is here. Run: pip install "
    "onnxruntime-ep-nv-tensorrt-rtx, or onnxruntime-gpu and tensorrt in the place of onnxruntime"
)
_WHEELS = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")


def installed(providers: Sequence[str]) -> dict[str, str]:
    """Version of TensorRT behind each provider of it, TensorRT itself first. `providers` are ONNX Runtime's own."""
    versions = {CLASSIC: _classic_version() if CLASSIC in providers else None, RTX: _rtx_version()}
    return {provider: version for provider, version in versions.items() if version}


def _classic_version() -> str | None:
    for wheel in _WHEELS:
        try:
            return metadata.version(wheel)
        except metadata.PackageNotFoundError:
            continue
    try:
        number: int = ctypes.CDLL("libnvinfer.so.10").getInferLibVersion()
    except (OSError, AttributeError):
        return None
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _rtx_version() -> str | None:
    """From the names of the libraries that the plug-in brings, which are loaded when a session is opened."""
    spec = find_spec(PLUG_IN)
    names = (
        path.name for folder in (spec and spec.submodule_search_locations) or () for path in Path(folder).iterdir()
    )
    patterns = (r"libtensorrt_rtx\.so\.(\d+\.\d+\.\d+)", r"tensorrt_rtx_(\d+_\d+)\.dll")
    found = (match for name in names for pattern in patterns if (match := re.fullmatch(pattern, name)))
    return next((match[1].replace("_", ".") for match in found), None)


def cache_folder(provider: str) -> Path:
    """Where a provider keeps what it compiles or times on this GPU, with this driver and this version of TensorRT."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    gpu, version = find_gpu(), installed([provider]).get(provider, "")
    key = f"{provider} {version} {gpu.name} {gpu.capability} cuda{gpu.driver}" if gpu else f"{provider} {version}"
    return home / "strizh" / "tensorrt" / re.sub(r"[^\w.]+", "-", key)


def engine_options(engine: Engine, folder: Path) -> dict[str, str]:
    """For a session that opens an engine; `folder` holds the graph that a stripped one takes its weights from."""
    if engine.provider == RTX:  # its engines are compiled for the GPU when they are opened
        return {"nv_runtime_cache_path": str(cache_folder(RTX))}
    if engine.stripped:
        return {"trt_weight_stripped_engine_enable": "1", "trt_onnx_model_folder_path": str(folder)}
    return {}


def building_options(provider: str, profile: Profile, inputs: Sequence[str]) -> dict[str, str]:
    """For a session that builds its engine when it is opened, and finds it in the cache the next time.

    With the profile of every input given, no batch has it build another.
    """
    shapes = {
        "min": "1x1",
        "opt": f"{profile.tuned_texts}x{profile.tuned_tokens}",
        "max": f"{profile.texts}x{profile.tokens}",
    }
    start, cache = "nv" if provider == RTX else "trt", str(cache_folder(provider))
    found = {
        f"{start}_profile_{end}_shapes": ",".join(f"{name}:{shape}" for name in inputs) for end, shape in shapes.items()
    }
    if provider == RTX:
        return found | {"nv_runtime_cache_path": cache}
    caches = {"trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"}
    return found | caches | {"trt_engine_cache_path": cache, "trt_timing_cache_path": cache}


def preload() -> None:
    """Load TensorRT from NVIDIA's wheel, if it came in one: no loader searches the wheel's folder."""
    with contextlib.suppress(ImportError):
        import_module("tensorrt")


def add_plug_in(options: Any, settings: Mapping[str, str]) -> None:
    """Have a session run on the GPU through NVIDIA's plug-in; `DeviceError` where it finds none."""
    plug_in = import_module(PLUG_IN)
    name = plug_in.get_ep_name()
    if not any(_devices(name)):
        onnxruntime.register_execution_provider_library(name, plug_in.get_library_path())
    device = next(_devices(name), None)
    if device is None:
        raise DeviceError(f"{name} finds no GPU that it runs on: it wants Ampere or newer. See `strizh doctor`")
    options.add_provider_for_devices([device], dict(settings))


def _devices(name: str) -> Iterator[Any]:
    return (device for device in onnxruntime.get_ep_devices() if device.ep_name == name)
