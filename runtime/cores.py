"""How many cores this process may really use: affinity, control groups, and hyper-threads counted once."""

import math
import os
from collections.abc import Iterable
from pathlib import Path


def usable_cores() -> int:
    """Physical cores that this process may run on, cut to its CPU quota; at least 1.

    Two hyper-threads of a core share its multipliers, so they count once. A fractional quota is rounded up.
    """
    cores = _physical_cores(_allowed_cpus())
    quota = cpu_quota()
    return max(1, min(cores, math.ceil(quota))) if quota else max(1, cores)


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPU time per time that the control groups of this process allow (1.5 is one core and a half), or None."""
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return min(quotas) if quotas else None


def _allowed_cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _physical_cores(cpus: Iterable[int], root: Path = Path("/")) -> int:
    """Distinct cores among these logical CPUs; each counts as a core where the system does not say."""
    seen = set()
    for cpu in cpus:
        siblings = _read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        seen.add(siblings or f"cpu{cpu}")
    return len(seen)


def _quotas_v2(root: Path) -> Iterable[float]:
    """`cpu.max` ("150000 100000" or "max 100000") of the process's group and all its parents."""
    for group in _groups(root, lambda controllers: controllers == ""):
        limit, _, period = _read(root / "sys/fs/cgroup" / group / "cpu.max").partition(" ")
        if limit.isdigit() and period.isdigit() and int(period):
            yield int(limit) / int(period)


def _quotas_v1(root: Path) -> Iterable[float]:
    """`cpu.cfs_quota_us` / `cpu.cfs_period_us`; -1 means no limit."""
    for group in _groups(root, lambda controllers: "cpu" in controllers.split(",")):
        for mount in ("cpu", "cpu,cpuacct"):
            folder = root / "sys/fs/cgroup" / mount / group
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
            if quota.isdigit() and period.isdigit() and int(period):
                yield int(quota) / int(period)


def _groups(root: Path, wanted: "object") -> Iterable[Path]:
    """Paths of the process's group in the chosen hierarchy and of its parents, relative to the mount."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if wanted(controllers):  # type: ignore[operator]
            group = Path(path.lstrip("/"))
            yield group
            yield from group.parents
    yield Path()  # inside a container the path of the host is not visible, the mount's root is the container's group


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
