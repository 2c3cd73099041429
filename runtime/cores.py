"""How many cores this process may really use: affinity, control groups, and hyper-threads counted once."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_ROOT = Path("/")


def usable_cores() -> int:
    """Physical cores that this process may run on, cut to its CPU quota; at least 1.

    Two hyper-threads of a core share its multipliers, so they count once. A fractional quota is rounded up.
    """
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores, quota = physical_cores(affinity), cpu_quota()
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def physical_cores(cpus: Iterable[int], root: Path = _ROOT) -> int:
    """Distinct cores among these logical CPUs; each counts as a core where the system does not say."""
    siblings = (_read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or cpu for cpu in cpus)
    return len(set(siblings))


def cpu_quota(root: Path = _ROOT) -> float | None:
    """CPU time per time that the control groups of this process allow (1.5 is one core and a half), or None."""
    return min((*_quotas_v2(root), *_quotas_v1(root)), default=None)


def _quotas_v2(root: Path) -> Iterator[float]:
    """`cpu.max` ("150000 100000" or "max 100000") of the process's group and all its parents."""
    for group in _groups(root, lambda controllers: not controllers):
        yield from _ratio(*_read(root / "sys/fs/cgroup" / group / "cpu.max").partition(" ")[::2])


def _quotas_v1(root: Path) -> Iterator[float]:
    """`cpu.cfs_quota_us` and `cpu.cfs_period_us`; a quota of -1 means no limit."""
    for group in _groups(root, lambda controllers: "cpu" in controllers.split(",")):
        for mount in ("cpu", "cpu,cpuacct"):
            folder = root / "sys/fs/cgroup" / mount / group
            yield from _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> Iterator[float]:
    if quota.isdigit() and period.isdigit() and int(period):
        yield int(quota) / int(period)


def _groups(root: Path, chosen: Callable[[str], bool]) -> Iterator[Path]:
    """The process's group in the hierarchy whose controllers are `chosen`, and its parents, below the mount.

    The mount itself is always among them: in a container it is the container's group, whatever the path says.
    """
    yield Path()
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if chosen(controllers):
            group = Path(path.lstrip("/"))
            yield from (group, *group.parents)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
