"""Which variant of a bundle this machine should run, and why not the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strizh import kernels
from strizh.runtime.bundle import Variant
from strizh.runtime.cuda import PROVIDER
from strizh.runtime.errors import DeviceError, UsageError
from strizh.runtime.host import Host

CPU = "CPUExecutionProvider"
# The order of "auto", quickest first, as (target, precision). int8 is not in it: it changes vectors most, so that it is
# chosen by name.
ORDER = (("cuda", "fp16"), ("cpu", "bf16"), ("cpu", "fp32"), ("portable", "fp32"), ("ort", "fp32"))
_BY_NAME_ONLY = "is chosen by name only"


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant that runs, with the reason, and every other variant of the bundle with the reason against it."""

    variant: str
    reason: str
    providers: tuple[str, ...]
    passed_over: Mapping[str, str]

    def __str__(self) -> str:
        rest = (f"not {name}: it {reason}" for name, reason in self.passed_over.items())
        return "\n".join([f"{self.variant}: {self.reason}", *rest])


def choose(
    variants: Mapping[str, Variant], host: Host, *, wanted: str = "auto", providers: Sequence[str] | None = None
) -> Choice:
    """The variant to run: the one that is `wanted`, or with "auto" the first of `ORDER` that runs well here.

    `providers` are the caller's execution providers, None for the variant's own. `UsageError` for a variant that the
    bundle lacks, `DeviceError` for one that this machine cannot run; nothing takes its place silently.
    """
    if wanted == "auto":
        name, reason, passed_over = _best(variants, host)
    elif wanted in variants:
        name, reason = wanted, "it was asked for, by variant= or by a tuning"
        passed_over = dict.fromkeys((other for other in variants if other != name), "was not asked for")
    else:
        raise UsageError(f"variant is {wanted!r}, this bundle has {', '.join(variants)}. Use one of those, or 'auto'")
    asked = providers is not None
    problem = "" if asked and variants[name].target == "tensorrt" else obstacle(variants[name].target, host)
    if problem := problem or _unreached(variants[name], asked):
        raise DeviceError(f"variant {name} {problem}. `strizh doctor` shows what runs here")
    own = (PROVIDER,) if variants[name].target == "cuda" else (CPU,)
    return Choice(name, reason, _available(own if providers is None else tuple(providers), host), passed_over)


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
    if target in ("cuda", "tensorrt") and host.cuda_problem:
        return host.cuda_problem
    if target == "cpu" and not host.operator_library:
        return "needs the operator library, which this installation lacks: install a C++ compiler and strizh again"
    return ""


def _best(variants: Mapping[str, Variant], host: Host) -> tuple[str, str, dict[str, str]]:
    reasons = {
        name: against(variant.target, variant.precision, host) or _unreached(variant)
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


def _unreached(variant: Variant, asked: bool = False) -> str:
    """Why this installation has no session for a variant."""
    if calls_cuda_operators(variant) and not kernels.cuda_library_path():
        return (
            "calls strizh's own CUDA operators, which were not built: install nvcc, then strizh again with "
            "`pip install . -C cmake.define.STRIZH_CUDA=ON`"
        )
    if variant.target == "tensorrt" and not asked:
        return (
            "has no engine: strizh builds none yet. Name a provider that runs it, "
            "providers=['TensorrtExecutionProvider'] for instance"
        )
    return ""


def calls_cuda_operators(variant: Variant) -> bool:
    """Whether a graph for CUDA has nodes that ONNX Runtime does not bring."""
    return variant.target == "cuda" and "strizh" in variant.details.get("opset", {})


def _available(providers: tuple[str, ...], host: Host) -> tuple[str, ...]:
    missing = [provider for provider in providers if provider not in host.providers]
    if missing:
        has = ", ".join(host.providers)
        raise DeviceError(f"execution provider {missing[0]} is not here, this ONNX Runtime has {has}. Use one of those")
    return providers
