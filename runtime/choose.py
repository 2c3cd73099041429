"""Which variant of a bundle this machine should run, and why not the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strizh.runtime.bundle import Variant
from strizh.runtime.errors import DeviceError, UsageError
from strizh.runtime.host import Host

# The order of "auto": quickest first. int8 is not in it, because it changes vectors most: it is chosen by name.
PREFERENCE = ("cuda-fp16", "cpu-bf16", "cpu-fp32", "portable-fp32", "ort-fp32")
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_BF16_SETS = ("amx", "avx512_bf16", "avx512bf16")


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant that runs, with the reason, and every other variant of the bundle with the reason against it."""

    variant: str
    reason: str
    providers: tuple[str, ...]
    passed_over: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"{self.variant}: {self.reason}"]
        return "\n".join([*lines, *(f"not {name}: {reason}" for name, reason in self.passed_over.items())])


def choose(
    variants: Mapping[str, Variant], host: Host, *, wanted: str = "auto", providers: Sequence[str] | None = None
) -> Choice:
    """The variant to run: the one that is `wanted`, or with "auto" the first of `PREFERENCE` that runs here.

    `UsageError` for a variant that the bundle lacks, `DeviceError` for one that this machine cannot run; nothing is
    put in its place silently.
    """
    if wanted != "auto" and wanted not in variants:
        raise UsageError(f"variant is {wanted!r}, this bundle has {', '.join(variants)}. Use one of those, or 'auto'")
    obstacles = {name: obstacle(name, variant, host) for name, variant in variants.items()}
    if wanted != "auto":
        if reason := obstacles[wanted]:
            raise DeviceError(f"{wanted} cannot run here: {reason}. Load another variant: see `strizh doctor`")
        passed = {name: "another was asked for by name" for name in variants if name != wanted}
        return Choice(wanted, "asked for by name", _providers(variants[wanted], providers), passed)
    runnable = [name for name in PREFERENCE if name in variants and not obstacles[name]]
    if not runnable:
        reasons = "; ".join(f"{name}: {reason or 'only by name'}" for name, reason in obstacles.items())
        raise DeviceError(f"no variant of this bundle runs here by itself ({reasons}). Export portable-fp32 as well")
    best = runnable[0]
    passed = {name: obstacles[name] or _why_not(name, best) for name in variants if name != best}
    return Choice(best, "the first in the order of speed that runs here", _providers(variants[best], providers), passed)


def obstacle(name: str, variant: Variant, host: Host) -> str:
    """Why this machine cannot run the variant, or would run it slowly; empty if nothing speaks against it."""
    if variant.target in ("cuda", "tensorrt"):
        return "" if CUDA in host.providers else f"ONNX Runtime has no {CUDA} here"
    if variant.target != "cpu":
        return ""
    if not host.operator_library:
        return "this installation has no operator library (no C++ compiler when strizh was installed)"
    if variant.precision == "bf16" and not any(isa in host.instruction_sets for isa in _BF16_SETS):
        return "this CPU has neither AMX nor AVX-512 BF16"
    return ""


def _why_not(name: str, best: str) -> str:
    if name not in PREFERENCE:
        return "chosen only by name"
    return f"comes after {best} in the order of speed"


def _providers(variant: Variant, providers: Sequence[str] | None) -> tuple[str, ...]:
    if providers is not None:
        return tuple(providers)
    return (CUDA, CPU) if variant.target in ("cuda", "tensorrt") else (CPU,)
