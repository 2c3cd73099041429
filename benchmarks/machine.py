"""The machine that a result belongs to: printed above every table and kept in every result."""

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Pages and results: a change in them changes no figure.
_NO_SOURCES = (":!benchmarks/results", ":!*.md")
# The CPU flags that decide which kernels an engine can run.
FLAGS = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx512_fp16", "avx512f", "avx_vnni", "avx2", "fma")


def describe() -> dict[str, Any]:
    """Facts of this machine and this working tree. What a system does not tell is None."""
    info = _cpu_info()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "virtual": "hypervisor" in flags,
        "l2_cache": _read("/sys/devices/system/cpu/cpu0/cache/index2/size"),
        "l3_cache": _read("/sys/devices/system/cpu/cpu0/cache/index3/size"),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def kind(machine: dict[str, Any]) -> str:
    """Which column of the goals this machine is measured against."""
    if "amx_bf16" in machine["flags"]:
        return "amx"
    return "avx512_bf16" if "avx512_bf16" in machine["flags"] else "other"


def stamp(machine: dict[str, Any]) -> str:
    """What names a run: its commit and its day."""
    return f"commit {machine['commit']}, {machine['date']}"


def header(machine: dict[str, Any], runs: Iterable[str] = ()) -> list[str]:
    """Lines to print above a table, with the runs that its rows are of, or that of `machine` alone."""
    of = "; ".join(runs) or stamp(machine)
    host = "virtual machine" if machine["virtual"] else "no hypervisor seen"
    return [
        f"{machine['cpu']}, {machine['cores']} cores, L2 {machine['l2_cache']}, L3 {machine['l3_cache']}, "
        f"{machine['memory_gib']} GiB, governor {machine['governor'] or 'not stated'}, {host}",
        f"flags: {' '.join(machine['flags']) or 'none of those that matter'}",
        f"{machine['system']}, Python {machine['python']}, {of}",
    ]


def _cpu_info() -> dict[str, str]:
    """The first processor of /proc/cpuinfo."""
    first, _, _ = (_read("/proc/cpuinfo") or "").partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _memory_gib() -> int | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)


def _commit() -> str:
    """Short hash of the working tree's commit, with "+changes" where files that count differ from it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *_NO_SOURCES)
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    return f"{head}+changes" if changed else head


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
