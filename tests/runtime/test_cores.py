"""Cores that the process may use, read from made-up /proc and /sys trees."""

import os
from pathlib import Path

import pytest

from strizh.runtime import cores


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V2, V1 = "0::/pod/app\n", "5:cpuset:/\n4:cpu,cpuacct:/pod/app\n1:name=systemd:/x\n"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": V2}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/pod/app/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/pod/app/cpu.max": "150000 100000\n"}, 1.5),
        # A parent's limit holds as well, and the smallest wins.
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/pod/app/cpu.max": "800000 100000",
                "sys/fs/cgroup/pod/cpu.max": "200000 100000",
            },
            2.0,
        ),
        # Inside a container: the path of the host is not there, the mount is the container's own group.
        ({"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/cpu.max": "300000 100000"}, 3.0),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/pod/app/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/pod/app/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({"proc/self/cgroup": "nonsense\n::\n", "sys/fs/cgroup/cpu.max": "nonsense"}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "100000 0"}, None),
    ],
)
def test_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    write(tmp_path, files)
    assert cores.cpu_quota(tmp_path) == quota


def test_hyper_threads_count_once(tmp_path: Path) -> None:
    topology = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    write(tmp_path, {topology.format(cpu): f"{cpu % 4},{cpu % 4 + 4}\n" for cpu in range(8)})
    assert cores.physical_cores(range(8), tmp_path) == 4
    assert cores.physical_cores([0, 4], tmp_path) == 1
    assert cores.physical_cores([0, 1, 4], tmp_path) == 2
    assert cores.physical_cores([8, 9], tmp_path) == 2  # a system that does not say


@pytest.mark.parametrize(("quota", "wanted"), [(None, 4), (0.2, 1), (1.0, 1), (1.5, 2), (4.0, 4), (64.0, 4)])
def test_quota_cuts_the_cores(monkeypatch: pytest.MonkeyPatch, quota: float | None, wanted: int) -> None:
    monkeypatch.setattr(cores, "physical_cores", lambda _: 4)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert cores.usable_cores() == wanted


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_affinity_is_respected() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
