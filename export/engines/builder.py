"""The TensorRT that is installed, as a builder of engines: for the GPU at hand, or ahead of time for several kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from strizh.runtime.cuda import Gpu, find_gpu
from strizh.runtime.engines import Profile
from strizh.runtime.errors import DeviceError, UnsupportedModel, UsageError
from strizh.runtime.tensorrt import CLASSIC, RTX

_MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
AHEAD = ("8.0", "8.6", "8.9", "12.0")  # what TensorRT for RTX builds for unless it is told: Ampere, Ada and Blackwell
_NONE = (
    "no builder of engines is installed. Run: pip install tensorrt-rtx-cu13, which builds for Ampere, Ada and Blackwell "
    "without a GPU, or on the GPU that the engines are for: pip install tensorrt"
)


@dataclass(frozen=True, slots=True)
class Builder:
    """One TensorRT. `gpu` is what engines are built on and for; without it they are for every one of `capabilities`."""

    trt: Any
    provider: str
    capabilities: tuple[str, ...]
    gpu: Gpu | None

    @property
    def version(self) -> str:
        """TensorRT's own: an engine is read by the version that built it."""
        return str(self.trt.__version__)

    def build(self, graph: Path, profile: Profile, timing: bytes = b"", strip: bool = False) -> tuple[bytes, bytes]:
        """The serialized engine of an ONNX file, and the timings that another build saves itself (none without a GPU).

        `strip` leaves out the weights that are in the file. `UnsupportedModel` with TensorRT's words where it fails.
        """
        trt, logger = self.trt, _logger(self.trt)
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(graph)):
            raise UnsupportedModel(f"TensorRT {self.version} does not read {graph.name}: {_last(logger)}")
        config, shapes = builder.create_builder_config(), builder.create_optimization_profile()
        for index in range(network.num_inputs):
            sizes = (profile.tuned_texts, profile.tuned_tokens), (profile.texts, profile.tokens)
            shapes.set_shape(network.get_input(index).name, (1, 1), *sizes)
        config.add_optimization_profile(shapes)
        if strip:
            config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        if self.gpu:
            config.set_timing_cache(config.create_timing_cache(timing), False)
        else:
            config.num_compute_capabilities = len(self.capabilities)
            for index, capability in enumerate(self.capabilities):
                config.set_compute_capability(getattr(trt.ComputeCapability, _sm(capability)), index)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise UnsupportedModel(f"TensorRT {self.version} builds no engine of {graph.name}: {_last(logger)}")
        return bytes(plan), bytes(config.get_timing_cache().serialize()) if self.gpu else b""


def find_builder(name: str | None = None, capabilities: Sequence[str] = ()) -> Builder:
    """The builder by `name`, or the one that is installed: TensorRT where there is a GPU too, else TensorRT for RTX.

    `capabilities` are what the latter builds for, `AHEAD` by default. `DeviceError` where nothing builds,
    `UsageError` for what the builder cannot be asked.
    """
    if name not in (None, *_MODULES):
        raise UsageError(f"builder {name!r} is not known; known: {', '.join(_MODULES)}.")
    gpu = find_gpu()
    found = {one: module for one in _MODULES if name in (None, one) and (module := _imported(_MODULES[one]))}
    if "tensorrt" in found and (gpu or "tensorrt-rtx" not in found):
        if gpu is None:
            raise DeviceError(
                "TensorRT builds on the GPU that an engine is for, and there is none here. Run it there, or ahead of time "
                "for Ampere, Ada and Blackwell: pip install tensorrt-rtx-cu13"
            )
        if capabilities:
            raise UsageError("--gpus is for TensorRT for RTX; TensorRT builds for the GPU at hand. Leave it out.")
        return Builder(found["tensorrt"], CLASSIC, (gpu.capability,), gpu)
    if not found:
        raise DeviceError(_NONE if name is None else f"{name} is not installed: {_NONE}")
    trt = found["tensorrt-rtx"]
    known = [kind for kind in dir(trt.ComputeCapability) if kind.startswith("SM")]
    if wrong := [capability for capability in capabilities if _sm(capability) not in known]:
        listed = ", ".join(f"{kind[2:-1]}.{kind[-1]}" for kind in sorted(known, key=lambda kind: int(kind[2:])))
        raise UsageError(f"--gpus {wrong[0]!r} is no compute capability that TensorRT for RTX builds for: {listed}.")
    return Builder(trt, RTX, tuple(capabilities) or AHEAD, None)


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        return None


def _sm(capability: str) -> str:
    return f"SM{capability.replace('.', '')}"


def _logger(trt: Any) -> Any:
    class Errors(trt.ILogger):  # type: ignore[misc]  # mypy does not see TensorRT
        """Keeps what goes wrong instead of printing it."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, line: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.lines.append(" ".join(line.split()))

    return Errors()


def _last(logger: Any) -> str:
    return str(logger.lines[-1])[:400] if logger.lines else "it does not say why"
