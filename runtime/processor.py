"""What the processor can do, as far as strizh's kernels care."""

import platform
import subprocess
from pathlib import Path

# In the words of /proc/cpuinfo, weakest first. arm64 calls them asimd (NEON), asimddp (dot products), i8mm, bf16, sve.
_KNOWN = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip


def name() -> str:
    """The processor's name as its maker gives it, or its architecture."""
    return _cpuinfo("model name") or _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


def instruction_sets() -> tuple[str, ...]:
    """Which of the instruction sets that matter here the processor and the operating system offer; () if unknown."""
    flags = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    words = f"{_sysctl('machdep.cpu.features')} {_sysctl('machdep.cpu.leaf7_features')}"
    flags |= {word.lower() for word in words.split()}
    return tuple(known for known in _KNOWN if known in flags)


def _cpuinfo(key: str) -> str:
    """The value of a line of /proc/cpuinfo for the first processor; "" where there is no such file or line."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")
    except OSError:
        return ""


def _sysctl(key: str) -> str:
    if platform.system() != "Darwin":
        return ""
    return subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, check=False).stdout.strip()
