"""Joules from the kernel's counters, on a tree made for the test: the machine need not have any."""

from pathlib import Path

import pytest

from benchmarks import energy, rounds
from benchmarks.engines import Batch
from benchmarks.workloads import equal


def write(tree: Path, **microjoules: int) -> Path:
    for name, value in microjoules.items():
        package = tree / name.replace("_", ":")
        package.mkdir(parents=True, exist_ok=True)
        (package / "energy_uj").write_text(f"{value}\n")
        (package / "max_energy_range_uj").write_text("1000000\n")
    return tree


def test_packages_are_summed_and_their_parts_are_not_counted_twice(tmp_path: Path) -> None:
    tree = write(tmp_path, **{"intel-rapl_0": 100, "intel-rapl_1": 200, "intel-rapl_0_0": 50})
    before = energy.read(tree)
    write(tree, **{"intel-rapl_0": 300_100, "intel-rapl_1": 200_200, "intel-rapl_0_0": 70_000})
    assert energy.joules(before, energy.read(tree)) == pytest.approx(0.5)


def test_a_counter_that_began_anew_in_between_has_gone_on(tmp_path: Path) -> None:
    before = energy.read(write(tmp_path, **{"intel-rapl_0": 900_000}))
    after = energy.read(write(tmp_path, **{"intel-rapl_0": 150_000}))
    assert energy.joules(before, after) == pytest.approx(0.25)


def test_without_counters_or_without_the_right_to_read_them_there_is_no_figure(tmp_path: Path) -> None:
    assert energy.read(tmp_path / "nowhere") == {}
    assert energy.joules({}, {}) is None
    package = write(tmp_path, **{"intel-rapl_0": 1}) / "intel-rapl:0"
    (package / "energy_uj").unlink()
    (package / "energy_uj").mkdir()  # not to be read, whoever asks
    assert energy.read(tmp_path) == {}


class Worker:
    """Half a joule a turn of five runs; its counter begins anew at one joule."""

    pid, fresh = 0, False

    def __init__(self, tree: Path) -> None:
        self._tree, self._used = tree, 0

    def load(self, batch: Batch) -> None: ...

    def shed(self) -> None: ...

    def time(self, batch_size: int | None, seconds: float) -> dict[str, object]:
        self._used += 1_000_000 // 2
        write(self._tree, **{"intel-rapl_0": self._used % 1_000_000})
        return {"seconds": [0.1] * 5, "cpu_seconds": 0.1}


def test_a_round_holds_the_joules_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = energy.read
    monkeypatch.setattr(energy, "read", lambda: read(write(tmp_path)))
    write(tmp_path, **{"intel-rapl_0": 0})
    entry = rounds.Entry(Worker(tmp_path), equal(1, 16), None, estimate=1.0)  # type: ignore[arg-type]
    method = rounds.Method(rounds=3, allow_noise=True, patience=0)
    rounds.measure([entry], lambda case: Batch(), method, lambda line: None)
    assert [one["joules"] for one in entry.rounds] == pytest.approx([0.1] * 3)
