"""Which variant of a bundle this machine should run, and why not the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strizh import kernels
from strizh.runtime import tensorrt
from strizh.runtime.cuda import NO_DRIVER, PROVIDER
from strizh.runtime.engines import Engine, fitting
from strizh.runtime.errors import DeviceError, UsageError
from strizh.runtime.host import NO_OPERATORS, Host
from strizh.runtime.manifest import Variant

CPU = "CPUExecutionProvider"
# The order of "auto", quickest first, as (target, precision). int8 is not in it: it changes vectors most, so that it is
# chosen by name. TensorRT comes before CUDA because who built an engine for this GPU wants it.
ORDER = (
    *(("tensorrt", "fp16"), ("tensorrt", "bf16"), ("cuda", "fp16")),
    *(("cpu", "bf16"), ("cpu", "fp32"), ("portable", "fp32"), ("ort", "fp32")),
)
_BY_NAME_ONLY = "is chosen by name only"


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant that runs, with the reason, and every other variant of the bundle with the reason against it.

    `engines` are those that TensorRT built from the variant's graphs for machines as this one.
    """

    variant: str
    reason: str
    providers: tuple[str, ...]
    passed_over: Mapping[str, str]
    engines: tuple[Engine, ...] = ()

    def __str__(self) -> str:
        rest = (f"not {name}: it {reason}" for name, reason in self.passed_over.items())
        return "\n".join([f"{self.variant}: {self.reason}", *rest])


def asks_for_gpu(variants: Mapping[str, Variant], wanted: str, providers: Sequence[str] | None) -> bool:
    """Whether the choice among these depends on a GPU: those of "auto", the one that is `wanted`, the caller's providers."""
    candidates = [variant for name, variant in variants.items() if wanted in ("auto", name)]
    named = {PROVIDER, tensorrt.CLASSIC, tensorrt.RTX} & set(providers or ())
    return bool(named) or any(variant.target in ("cuda", "tensorrt") for variant in candidates)


def choose(
    variants: Mapping[str, Variant],
    host: Host,
    *,
    wanted: str = "auto",
    providers: Sequence[str] | None = None,
    engines: Sequence[Engine] = (),
    max_length: int = 0,
) -> Choice:
    """The variant to run: the one that is `wanted`, or with "auto" the first of `ORDER` that runs well here.

    `providers` are the caller's execution providers, None for the variant's own; `engines` are the bundle's, and so is
    `max_length`, the tokens of the longest text that "auto" must be able to run.
    `UsageError` for a variant that the bundle lacks, `DeviceError` for one that this machine cannot run; nothing takes its
    place silently.
    """
    if wanted == "auto":
        name, reason, passed_over = _best(variants, host, engines, max_length)
    elif wanted in variants:
        name, reason = wanted, "it was asked for, by variant= or by a tuning"
        passed_over = dict.fromkeys((other for other in variants if other != name), "was not asked for")
    else:
        raise UsageError(f"variant is {wanted!r}, this bundle has {', '.join(variants)}. Use one of those, or 'auto'")
    variant = variants[name]
    named = providers is not None and variant.target == "tensorrt"  # that provider builds an engine itself
    if problem := "" if named else why_not(variant, host, engines):
        raise DeviceError(f"variant {name} {problem}. `strizh doctor` shows what runs here")
    if providers is not None:
        return Choice(name, reason, _available(tuple(providers), host), passed_over)
    fit = _fitting(variant, host, engines)
    own = {"cuda": PROVIDER, "tensorrt": fit[0].provider if fit else ""}.get(variant.target, CPU)
    return Choice(name, reason, _available((own,), host), passed_over, fit)


def why_not(variant: Variant, host: Host, engines: Sequence[Engine]) -> str:
    """Why a variant of a bundle with these engines cannot run on this machine and installation; empty if it can."""
    if problem := obstacle(variant.target, host):
        return problem
    if calls_cuda_operators(variant) and not kernels.cuda_library_path():
        return (
            "calls strizh's own CUDA operators, which were not built: install nvcc, then strizh again with "
            "`pip install . -C cmake.define.STRIZH_CUDA=ON`"
        )
    if variant.target == "tensorrt":
        return fitting(engines, variant.file, host.gpu, host.tensorrt)[1]
    return ""


def _fitting(variant: Variant, host: Host, engines: Sequence[Engine]) -> tuple[Engine, ...]:
    """The engines of all graphs of a variant that run here."""
    return tuple(engine for graph in _graphs(variant) for engine in fitting(engines, graph, host.gpu, host.tensorrt)[0])


def _graphs(variant: Variant) -> tuple[str, ...]:
    return (variant.file, *([variant.classifier] if variant.classifier else []))


def _too_short(variant: Variant, host: Host, engines: Sequence[Engine], max_length: int) -> str:
    """Why "auto" does not take a variant that runs here: another one runs the texts that its engines do not take."""
    for graph in _graphs(variant) if variant.target == "tensorrt" else ():
        found, why = fitting(engines, graph, host.gpu, host.tensorrt)
        if why:
            return why
        if (reach := max(engine.profile.tokens for engine in found)) < max_length:
            return (
                f"has engines for up to {reach} of {max_length} tokens: build one with `strizh build-engine --profiles "
                f"1x{max_length}`, or ask for it by name"
            )
    return ""


def against(target: str, precision: str, host: Host) -> str:
    """Why "auto" does not take a variant of this kind on this machine; empty if nothing speaks against it."""
    if (target, precision) not in ORDER:
        return _BY_NAME_ONLY
    if problem := obstacle(target, host):
        return problem
    if (target, precision) == ("cpu", "bf16") and not any(word in host.instruction_set for word in ("amx", "bf16")):
        return f"is slower than float32 on this CPU, which has no bf16 arithmetic ({host.instruction_set})"
    return ""


def obstacle(target: str, host: Host) -> str:
    """Why this machine cannot run a target at all; empty if it can."""
    if target == "cuda":
        return host.cuda_problem
    if target == "tensorrt":
        return tensorrt.missing(host.providers) if not host.tensorrt else "" if host.gpu else NO_DRIVER
    if target == "cpu" and not host.operator_library:
        if why := next((problem for problem in host.problems if problem.startswith(NO_OPERATORS)), ""):
            return f"needs strizh's operators, and {why}"
        return "needs the operator library, which this installation lacks: install a C++ compiler and strizh again"
    return ""


def _best(
    variants: Mapping[str, Variant], host: Host, engines: Sequence[Engine], max_length: int
) -> tuple[str, str, dict[str, str]]:
    reasons = {
        name: against(variant.target, variant.precision, host)
        or why_not(variant, host, engines)
        or _too_short(variant, host, engines, max_length)
        for name, variant in variants.items()
    }
    kinds = {(variant.target, variant.precision): name for name, variant in variants.items() if not reasons[name]}
    best = next((kinds[kind] for kind in ORDER if kind in kinds), None)
    if best is None:
        listed = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
        raise DeviceError(f"this bundle has no variant that 'auto' may take here: {listed}. Export portable-fp32 too")
    behind = f"comes after {best} in the order of speed"
    passed_over = {name: reason or behind for name, reason in reasons.items() if name != best}
    return best, "the first in the order of speed that runs well here", passed_over


def calls_cuda_operators(variant: Variant) -> bool:
    """Whether a graph for CUDA has nodes that ONNX Runtime does not bring."""
    return variant.target == "cuda" and "strizh" in variant.details.get("opset", {})


def _available(providers: tuple[str, ...], host: Host) -> tuple[str, ...]:
    known = (*host.providers, *host.tensorrt)
    missing = [provider for provider in providers if provider not in known]
    if missing:
        has = ", ".join(dict.fromkeys(known))
        raise DeviceError(f"execution provider {missing[0]} is not here, this ONNX Runtime has {has}. Use one of those")
    return providers
