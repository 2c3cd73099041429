"""TensorRT as this machine has it: ONNX Runtime's two providers of it, and the options that each is opened with.

Names of options: ONNX Runtime's page of its TensorRT provider, and tensorrt_rtx_provider_options.h of NVIDIA's plug-in.
"""

import contextlib
import ctypes
import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime

from strizh.runtime.cuda import find_gpu
from strizh.runtime.engines import Engine, Profile
from strizh.runtime.errors import DeviceError

CLASSIC, RTX = "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"
PLUG_IN = "onnxruntime_ep_nv_tensorrt_rtx"
_NEITHER = (
    "needs TensorRT, and neither of ONNX Runtime's providers of it is here. Run: pip install "
    "onnxruntime-ep-nv-tensorrt-rtx, or onnxruntime-gpu and tensorrt in the place of onnxruntime"
)
_NO_LIBRARY = (
    "needs TensorRT: ONNX Runtime offers its provider, but libnvinfer.so.10 does not load. Run: pip install tensorrt, or "
    "onnxruntime-ep-nv-tensorrt-rtx"
)
_WHEELS_LIBRARIES = "tensorrt_libs"  # the package of NVIDIA's wheels that loads them when it is imported
_LIBRARIES = ("libnvinfer.so.10", "nvinfer_10.dll")
_registering, _registered = threading.Lock(), set[str]()
# Tokens, padding counted, of the largest engine that replays CUDA graphs, and the option that asks for them. The plug-in
# captures a graph of every shape by itself, so their number must have a bound. ONNX Runtime's own provider captures one
# graph a session and replays it whatever it is given: every batch of such an engine is padded to its profile, which costs
# little up to the some 200 tokens that an H200 computes (at 989 TFLOPS) while it reads the weights (at 4.8 TB/s).
_GRAPHS = {RTX: (4096, "enable_cuda_graph"), CLASSIC: (256, "trt_cuda_graph_enable")}


def installed(providers: Sequence[str]) -> dict[str, str]:
    """Version of TensorRT behind each provider of it, TensorRT itself first. `providers` are ONNX Runtime's own."""
    versions = {CLASSIC: _classic_version() if CLASSIC in providers else None, RTX: _rtx_version()}
    return {provider: version for provider, version in versions.items() if version}


def missing(providers: Sequence[str]) -> str:
    """What is missing where nothing is installed, with its cure, to follow the variant's name."""
    return _NO_LIBRARY if CLASSIC in providers else _NEITHER


def _classic_version() -> str | None:
    """Of the library itself, loaded: its wheels may be there for another version, and ONNX Runtime does not look in them."""
    if find_spec(_WHEELS_LIBRARIES):
        import_module(_WHEELS_LIBRARIES)
    for library in _LIBRARIES:
        try:
            number: int = ctypes.CDLL(library).getInferLibVersion()
        except (OSError, AttributeError):
            continue
        return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    return None


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
    folder = home / "strizh" / "tensorrt" / re.sub(r"[^\w.]+", "-", key)
    return _made(folder)


def _made(folder: Path) -> Path:
    """Providers make the last folder of a path only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(
            f"TensorRT's cache '{folder}' cannot be made ({error.strerror}). Set XDG_CACHE_HOME to a folder of yours"
        ) from None
    return folder


def has_graphs(provider: str, profile: Profile) -> bool:
    """Whether an engine of this profile replays CUDA graphs; sessions that are opened with its options must be run so."""
    most, _ = _GRAPHS.get(provider, (0, ""))
    return profile.texts * profile.tokens <= most


def _graphs(provider: str, profile: Profile) -> dict[str, str]:
    return {_GRAPHS[provider][1]: "1"} if has_graphs(provider, profile) else {}


def engine_options(engine: Engine, folder: Path) -> dict[str, str]:
    """For a session that opens an engine; `folder` holds the graph that a stripped one takes its weights from."""
    graphs = _graphs(engine.provider, engine.profile)
    if engine.provider == RTX:  # its engines are compiled for the GPU when they are opened
        return graphs | {"nv_runtime_cache_path": str(cache_folder(RTX))}
    if engine.stripped:
        return graphs | {"trt_weight_stripped_engine_enable": "1", "trt_onnx_model_folder_path": str(folder)}
    return graphs


def building_options(provider: str, profile: Profile, inputs: Sequence[str], hashes: Iterable[str]) -> dict[str, str]:
    """For a session that builds its engine when it is opened, and finds it in the cache the next time.

    With the profile of every input given, no batch has it build another. `hashes` are those of the graph and its weights:
    ONNX Runtime tells engines apart by names alone, which two bundles have in common.
    """
    shapes = {
        "min": "1x1",
        "opt": f"{profile.tuned_texts}x{profile.tuned_tokens}",
        "max": f"{profile.texts}x{profile.tokens}",
    }
    start, cache = "nv" if provider == RTX else "trt", cache_folder(provider)
    found = _graphs(provider, profile) | {
        f"{start}_profile_{end}_shapes": ",".join(f"{name}:{shape}" for name in inputs) for end, shape in shapes.items()
    }
    if provider == RTX:
        return found | {"nv_runtime_cache_path": str(cache)}
    own = _made(cache / hashlib.sha256("".join(hashes).encode()).hexdigest())
    caches = {"trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"}
    return found | caches | {"trt_engine_cache_path": str(own), "trt_timing_cache_path": str(cache)}


def preload() -> None:
    """Load TensorRT from NVIDIA's wheel, if it came in one: no loader searches the wheel's folder."""
    with contextlib.suppress(ImportError):
        import_module("tensorrt")


def add_plug_in(options: Any, settings: Mapping[str, str]) -> None:
    """Have a session run on the GPU through NVIDIA's plug-in; `DeviceError` where it finds none."""
    plug_in = import_module(PLUG_IN)
    name = plug_in.get_ep_name()
    with _registering:  # a second time is an error, also where the plug-in found no device
        if name not in _registered and not any(_devices(name)):
            onnxruntime.register_execution_provider_library(name, plug_in.get_library_path())
        _registered.add(name)
    device = next(_devices(name), None)
    if device is None:
        raise DeviceError(f"{name} finds no GPU that it runs on: it wants Ampere or newer. See `strizh doctor`")
    options.add_provider_for_devices([device], dict(settings))


def _devices(name: str) -> Iterator[Any]:
    return (device for device in onnxruntime.get_ep_devices() if device.ep_name == name)
