"""From results to plots and to the README."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import report, results, svg

MACHINE = {
    "cpu": "Test <CPU>", "flags": ["amx_bf16"], "cores": 2, "governor": None, "virtual": False, "l2_cache": None,
    "l3_cache": None, "memory_gib": 1, "system": "Linux", "python": "3", "commit": "abc", "date": "2026-01-01",
}  # fmt: skip


def row(contender: str, seconds: float | None) -> dict[str, Any]:
    return {
        "model": "base", "contender": contender, "case": "16x128", "metric": "tokens/s", "tokens": 2048,
        "ours": contender.startswith("strizh"), "parity": {"cosine_min": 0.5, "misses": [] if seconds else ["far off"]},
        "rounds": [{"number": 1, "median": seconds}, {"number": 2, "median": 2 * seconds}] if seconds else [],
    }  # fmt: skip


@pytest.fixture
def result() -> dict[str, Any]:
    goal = {
        "model": "base", "case": "16x128", "ours": "strizh cpu-bf16", "theirs": "x", "ratio": 0.5, "low": 0.4, "high": 0.6,
        "best": 0.45,
        "sense": ">=", "required": 1.6, "aim": 2.2, "verdict": "short",
    }  # fmt: skip
    rows = [row("strizh cpu-bf16", 0.5), row("other & others", 1.0), row("wrong", None)]
    method = {"allow_noise": False}
    return {
        "suite": "throughput", "machine": MACHINE, "method": method, "models": {"base": {}}, "rows": rows, "goals": [goal],
    }  # fmt: skip


def test_plots_are_xml_with_a_bar_for_each_timed_row(result: dict[str, Any]) -> None:
    ((name, plot),) = report.plots(result)
    assert name == "base-16x128"
    bars = [element for element in ElementTree.fromstring(plot).iter() if element.get("height") == "16"]
    assert len(bars) == 2
    widths = [float(str(bar.get("width"))) for bar in bars]
    assert widths[0] == pytest.approx(2 * widths[1], rel=1e-3)  # the longer bar is the quicker engine, and first


def test_a_scatter_keeps_its_points_inside() -> None:
    points = [("a", 10.0, 0.1, True), ("b", 1e5, 0.9, False), ("c", 1e3, 0.5, False)]
    plot = ElementTree.fromstring(svg.scatter("t", "x", "y", points))
    circles = [(float(str(e.get("cx"))), float(str(e.get("cy")))) for e in plot.iter() if e.tag.endswith("circle")]
    (left, low), (right, high), (middle, _) = circles
    assert left < middle < right
    assert high < low  # SVG counts downwards
    assert all(0 < x < float(str(plot.get("width"))) and 0 < y < float(str(plot.get("height"))) for x, y in circles)


def test_the_readme_gets_the_tables_and_where_we_lose_it_says_so(tmp_path: Path, result: dict[str, Any]) -> None:
    results.write(result, tmp_path / "throughput.json")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold figures\n{report.END}\nafter\n")
    assert report.main([str(tmp_path), "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old figures" not in text
    assert "| strizh cpu-bf16 | 3,072 | 0.500000 |" in text
    assert "| wrong | FAIL | 0.500000 |" in text
    assert "**short**" in text
    assert (tmp_path / "throughput-base-16x128.svg").is_file()


def test_a_readme_without_marks_is_left_alone(tmp_path: Path, result: dict[str, Any]) -> None:
    results.write(result, tmp_path / "throughput.json")
    readme = tmp_path / "README.md"
    readme.write_text("nothing to replace\n")
    assert report.main([str(tmp_path), "--readme", str(readme)]) == 1
    assert readme.read_text() == "nothing to replace\n"
