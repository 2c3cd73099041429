"""Engines that TensorRT built ahead of time from a bundle's graphs, and which of them this machine can run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from strizh.runtime.cuda import Gpu


@dataclass(frozen=True, slots=True)
class Profile:
    """Shapes that an engine takes: up to `texts` of up to `tokens` each, padded, and the shape that it is tuned for."""

    texts: int
    tokens: int
    tuned_texts: int
    tuned_tokens: int

    def holds(self, texts: int, tokens: int) -> bool:
        """Whether a padded batch of this shape is among them."""
        return texts <= self.texts and tokens <= self.tokens

    def __str__(self) -> str:
        most, tuned = f"{self.texts}x{self.tokens}", f"{self.tuned_texts}x{self.tuned_tokens}"
        return most if tuned == most else f"{tuned}..{most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine, and what it is for. `graph` and `file` are keys of `Manifest.files`.

    `graph` is what it computes; `file` is an ONNX graph of the same inputs and outputs around it, which `provider` of
    ONNX Runtime opens. TensorRT reads engines of its own version only. One that was built on a GPU is for that model and
    its driver (the newest CUDA that it runs, 13000 for 13.0); one that was built without is for all of `capabilities`.
    """

    graph: str
    file: str
    provider: str
    version: str
    capabilities: tuple[str, ...]
    gpu: str | None
    driver: int | None
    profile: Profile
    stripped: bool  # of its weights, which are taken from `graph` when it is opened


def fitting(
    engines: Iterable[Engine], graph: str, gpu: Gpu | None, installed: Mapping[str, str]
) -> tuple[tuple[Engine, ...], str]:
    """The engines of a graph that run here, all of one provider, or why there are none, to follow the variant's name.

    `installed` is the version of TensorRT behind each provider, the best first.
    """
    of_graph = [engine for engine in engines if engine.graph == graph]
    misfits = {engine.file: _misfit(engine, gpu, installed) for engine in of_graph}
    for provider in installed:
        if found := tuple(one for one in of_graph if one.provider == provider and not misfits[one.file]):
            return found, ""
    if not of_graph:
        return (), "has no engine: build one with `strizh build-engine`"
    reasons = "; ".join(dict.fromkeys(misfits.values()))
    return (), f"has no engine for this machine ({reasons}): build one with `strizh build-engine`"


def _misfit(engine: Engine, gpu: Gpu | None, installed: Mapping[str, str]) -> str:
    """Why this machine cannot run an engine; empty if it can."""
    here = installed.get(engine.provider)
    if here is None:
        return f"an engine is for {engine.provider}, which is not here"
    if not _same_version(engine.version, here):
        return f"an engine was built by TensorRT {engine.version}, here is {here}"
    if gpu is None:
        return "an engine needs an NVIDIA GPU and its driver"
    if gpu.capability not in engine.capabilities:
        listed = ", ".join(engine.capabilities)
        return f"an engine is for compute capability {listed}, {gpu.name} has {gpu.capability}"
    if engine.gpu is not None and (engine.gpu, engine.driver) != (gpu.name, gpu.driver):
        return f"an engine was built on {engine.gpu} with another driver or on another GPU than {gpu.name}"
    return ""


def _same_version(one: str, other: str) -> bool:
    """Equal as far as both are known, the number of the build aside."""
    pairs = zip(one.split(".")[:3], other.split(".")[:3], strict=False)
    return all(left == right for left, right in pairs)
