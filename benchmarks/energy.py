"""Energy of the processor packages, as the kernel counts it for Intel's and AMD's processors (RAPL, `/sys/class/powercap`)."""

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")

Counters = dict[str, tuple[int, int]]  # package -> microjoules so far, and where the counter begins anew


def read(tree: Path = POWERCAP) -> Counters:
    """The counter of every package that there is and that this user may read; on most machines only root may."""
    found = {}
    for package in sorted(tree.glob("intel-rapl:[0-9]*")):
        if package.name.count(":") == 1:  # more colons are parts of a package, counted in it already
            try:
                found[package.name] = _number(package / "energy_uj"), _number(package / "max_energy_range_uj")
            except (OSError, ValueError):
                continue
    return found


def joules(before: Counters, after: Counters) -> float | None:
    """What all packages used between two readings; None where nothing counts it. A counter begins anew at most once."""
    common = before.keys() & after.keys()
    if not common:
        return None
    used = [after[name][0] - before[name][0] for name in common]
    ranges = [after[name][1] for name in common]
    return sum(one if one >= 0 else one + whole for one, whole in zip(used, ranges, strict=True)) / 1e6


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
