"""From results to plots and to the README."""

import random
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import charts, headlines, plots, report, results, svg

MACHINE = {
    "cpu": "Test <CPU>", "flags": ["amx_bf16"], "cores": 2, "governor": None, "virtual": False, "l2_cache": None,
    "l3_cache": None, "memory_gib": 1, "system": "Linux", "python": "3", "commit": "abc", "date": "2026-01-01",
}  # fmt: skip


ROOT = Path(__file__).parents[2]


def row(contender: str, seconds: float | None, case: str = "ragged") -> dict[str, Any]:
    rounds = [{"number": 1, "median": seconds, "least": seconds, "cpu_seconds": 1}] if seconds else []
    return {
        "model": "base", "contender": contender, "configuration": "", "case": case, "metric": "tokens/s", "tokens": 2048,
        "ours": contender.startswith("strizh"), "precision": "bf16", "texts": 16, "batch_size": 8, "error": "",
        "parity": {"cosine_min": 0.5, "misses": [] if seconds else ["far off"]}, "rounds": rounds,
    }  # fmt: skip


def result_of(suite: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    shape = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    facts = {"real": False, "reference": "torch fp32", "shape": shape, "scores": {"similarity": 0.8, "retrieval": 0.6}}
    method = {"allow_noise": False, "rounds": 1, "seconds": 1.0}
    return {
        "suite": suite, "machine": MACHINE, "method": method, "threads": 2, "models": {"base": facts}, "versions": {},
        "rows": rows, "absent": [], "failures": [], "ceiling": {"bf16": 1e12, "memory": 1e10},
    }  # fmt: skip


@pytest.fixture
def result() -> dict[str, Any]:
    rows = [row("strizh cpu-bf16", 0.5), row("other & others", 0.6), row("wrong", None)]
    return result_of("throughput", [*rows, row("strizh cpu-bf16", 0.4, "texts"), row("torch fp32", 1.6, "texts")])


def test_plots_are_xml_with_a_bar_for_each_timed_row(result: dict[str, Any]) -> None:
    ((name, plot),) = plots.speed(result)
    assert name == "base-ragged"
    bars = [element for element in ElementTree.fromstring(plot).iter() if element.get("height") == "16"]
    assert len(bars) == 2
    widths = [float(str(bar.get("width"))) for bar in bars]
    assert widths[0] == pytest.approx(1.2 * widths[1], rel=1e-3)  # the longer bar is the quicker engine, and first


def test_quality_stands_beside_the_speed_on_texts(result: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    scatter = charts.scatter
    monkeypatch.setattr(charts, "scatter", lambda *arguments: drawn.append(arguments) or scatter(*arguments))
    scores = {"strizh cpu-bf16": (0.8, 0.58), "torch fp32": (0.8, 0.6), "never timed": (0.7, 0.7)}
    rows = [
        {
            "model": "base",
            "contender": name,
            "configuration": "",
            "ours": False,
            "scores": dict(zip(("similarity", "retrieval"), own, strict=True)),
        }
        for name, own in scores.items()
    ]
    ((name, plot),) = plots.trade(result_of("quality", rows), result)
    assert name == "base-trade"
    assert [word for word in scores if word in plot] == ["strizh cpu-bf16", "torch fp32"]
    points = {name: (x, loss) for name, x, loss, _ in drawn[0][1]}
    assert points["strizh cpu-bf16"] == pytest.approx((4, 1))  # two points of one task are one of the mean of two
    assert points["torch fp32"] == (1, 0)


def test_a_scatter_keeps_its_points_inside_and_a_smaller_loss_is_higher() -> None:
    points = [("a", 1.0, 0.1, True), ("b", 1e3, 9.0, False), ("c", 10.0, -0.5, False), ("d", 40.0, 9.5, False)]
    plot = ElementTree.fromstring(charts.scatter(("t", "x", "y", "names"), points, 0.01, 20))
    circles = [(float(str(e.get("cx"))), float(str(e.get("cy")))) for e in plot.iter() if e.tag.endswith("circle")]
    (middle, high), (left, middle_y), (right, low), (edge, _) = circles  # best first
    assert left < middle < right == edge
    assert high < middle_y < low  # SVG counts downwards
    assert {e.text for e in plot.iter()} & {"0.01", "0.1", "1"} == {"0.01", "0.1", "1"}
    assert "0.005" not in {e.text for e in plot.iter()}, "nothing stands below the floor"
    assert all(0 < x < float(str(plot.get("width"))) and 0 < y < float(str(plot.get("height"))) for x, y in circles)


def test_the_quality_of_the_file_that_was_quickest_stands_beside_its_speed(
    result: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(charts, "scatter", lambda titles, points, *bounds: drawn.extend(points) or "")
    result["rows"] += [row("openvino", 0.8, "texts") | {"configuration": "quick.onnx"}]
    rows = [
        {"model": "base", "contender": name, "configuration": file, "ours": False}
        | {"scores": {"similarity": 0.8, "retrieval": retrieval}}
        for name, file, retrieval in (
            ("openvino", "other.onnx", 0.5),
            ("openvino", "quick.onnx", 0.58),
            ("openvino", "third.onnx", 0.4),
        )
    ]
    list(plots.trade(result_of("quality", rows), result))
    assert {name: loss for name, _, loss, _ in drawn} == {"openvino": pytest.approx(1), "torch fp32": 0}


@pytest.mark.parametrize("seed", range(20))
def test_no_number_of_a_scatter_lies_on_another_or_on_a_dot(seed: int) -> None:
    """Twenty engines, most of them on one line and within a fifth of its length: what float32 looks like."""
    draw = random.Random(seed)
    dots = [(draw.uniform(60, 180), 100.0) for _ in range(14)] + [
        (draw.uniform(60, 600), draw.uniform(120, 440)) for _ in range(6)
    ]
    numbers = svg.beside(dots, 20, 450)
    for (x, y), (other_x, other_y) in combinations(numbers, 2):
        assert abs(x - other_x) > 2 * svg.SIZE * 0.56 or abs(y - other_y) > 0.8 * svg.SIZE
    for number, dot in product(numbers, dots):
        assert abs(number[0] - dot[0]) > svg.SIZE * 0.56 or abs(number[1] - dot[1]) > 0.8 * svg.SIZE
    assert all(20 < y < 450 for _, y in numbers)


def test_a_number_that_stands_apart_is_led_to() -> None:
    assert svg.leader((0, 0), (0, 13), "red") == ""
    line = ElementTree.fromstring(svg.leader((0, 0), (0, 60), "red")).get("d")
    assert line is not None
    assert 40 < float(line.split()[-1]) < 55, "it ends before the number"


def test_each_model_has_its_layers_under_their_roofs() -> None:
    rows = [
        {"model": f"base {precision}", "case": "12 layers", "flops": flops, "bytes": 1e7, "seconds": seconds}
        for precision in ("bf16", "int8")
        for flops, seconds in ((1e9, 0.002), (1e10, 0.02), (0, 0.001))
    ]
    ((name, plot),) = plots.roofs(result_of("kernels", rows))
    assert name == "base-roof"
    names = [element.text for element in ElementTree.fromstring(plot).iter() if "bf16" in (element.text or "")]
    assert names == ["bf16, roof", "strizh bf16"]
    assert "int8" not in plot, "this machine has no ceiling of it"


@pytest.mark.parametrize("wanted", [[100.0, 101.0, 102.0], [50.0] * 5, [100.0, 300.0], [395.0, 396.0, 397.0]])
def test_names_do_not_lie_on_each_other(wanted: list[float]) -> None:
    found = svg.spread(wanted, 50, 400)
    gaps = [after - before for before, after in pairwise(sorted(found))]
    assert min(gaps) >= svg.LINE
    assert min(found) >= 50
    assert max(found) <= 400
    assert found == sorted(found)  # their order is that of the points


def test_ticks_are_round_and_inside() -> None:
    assert svg.Axis(0.8, 30, 0, 100).ticks() == [1, 2, 5, 10, 20]
    assert svg.Axis(20000, 0.09, 0, 100).ticks() == pytest.approx([0.1, 1, 10, 100, 1000, 10000])


def test_lengths_become_a_line_for_each_engine() -> None:
    timed = (("a", 0.1, 8), ("a", 0.4, 64), ("b", 0.2, 8), ("b", 0.3, 64), ("once", 1, 8))
    rows = [
        row(name, seconds) | {"tokens": tokens, "quantiles": {"p50": seconds}, "axis": "length"}
        for name, seconds, tokens in timed
    ]
    for draw in (plots.latency, plots.scaling):
        ((_, plot),) = draw(result_of("latency", rows))
        names = [element.text for element in ElementTree.fromstring(plot).iter() if element.text in ("a", "b", "once")]
        assert names == ["a", "b"]


def test_the_readme_gets_a_summary_that_says_where_we_lose_and_a_page_the_tables(
    tmp_path: Path, result: dict[str, Any]
) -> None:
    result["rows"] += [row("strizh portable-int8", 0.5), row("onnxruntime int8", 0.4) | {"precision": "int8"}]
    results.write(result, tmp_path / "machine" / "throughput.json")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold figures\n{report.END}\nafter\n")
    assert report.main([str(tmp_path), "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old figures" not in text
    assert "| base, ragged, tokens/s | 4,096 | 3,413 (other & others) | 1.20 | - | - | - |" in text
    assert "\n- portable-int8 on base, ragged: 0.80 times as fast as onnxruntime int8\n" in text
    assert "\n- cpu-bf16 on base, ragged: 1.20 of the speed of other & others, >= 2.2 asked\n" in text
    assert "(machine/base-ragged.svg)" in text and "(machine/README.md)" in text
    assert (tmp_path / "machine" / "base-ragged.svg").is_file()
    page = (tmp_path / "machine" / report.PAGE).read_text()
    assert "| strizh cpu-bf16 | 4,096 | 5,120 | 0.500000 |" in page
    assert "| wrong | FAIL | - | 0.500000 |" in page
    assert "**short**" in page and "(base-ragged.svg)" in page
    assert "other & others" in (tmp_path / "machine" / report.TABLES).read_text()


def test_the_readme_has_one_plot_of_each_kind() -> None:
    drawn = ["e5-trade", "mini-ragged", "mini-1x16", "base-ragged", "e5-1x16", "mini-roof", "base-roof"]
    assert report._one_of_each_kind(drawn) == ["e5-trade", "base-ragged", "mini-1x16", "base-roof"]


def test_a_machine_on_which_every_goal_is_met_says_so(result: dict[str, Any]) -> None:
    result["rows"][0] = row("strizh cpu-bf16", 0.1)
    assert headlines.shortfalls(result).splitlines() == [
        "Of 1 goals on this machine 1 are met. Slower than another engine: none.",
        "",
        "Short of what strizh asks of itself: none.",
    ]


def test_a_hair_slower_is_not_shown_as_equal(result: dict[str, Any]) -> None:
    result["rows"] += [row("strizh portable-int8", 0.501), row("onnxruntime int8", 0.5) | {"precision": "int8"}]
    line = "\n- portable-int8 on base, ragged: 0.998 times as fast as onnxruntime int8\n"
    assert line in headlines.shortfalls(result)


def test_what_a_precision_costs_is_summed_up_for_our_variants_and_other_int8() -> None:
    scores = {"similarity, spearman": 0.8, "retrieval, accuracy@1": 0.6}
    names = ("strizh cpu-int8", "strizh cpu-fp32", "openvino int8", "torch bf16")
    rows = [
        {"model": "base", "contender": name, "configuration": "", "ours": name.startswith("strizh"), "scores": scores}
        for name in names
    ]
    quality = {"models": {"base": {"scores": scores}}, "rows": rows}
    known = {"model": "base", "contender": "openvino int8", "configuration": "", "texts": 2, "company_same_bits": 2}
    known |= {"cosine_min": 0.99, "cosine_mean": 0.999, "company_cosine_min": 1.0}
    lines = headlines.quality(quality, {"rows": [known]}).splitlines()[2:]
    assert lines == [
        "| base | strizh cpu-int8 | - | - | +0.0000 | +0.0000 | open |",
        "| base | openvino int8 | 0.9990000 | 0.9900000 | +0.0000 | +0.0000 |  |",
    ], "ours, and what of others is known from end to end"


def test_a_readme_without_marks_is_left_alone_and_so_is_all_else(
    tmp_path: Path, result: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(result, tmp_path / "machine" / "throughput.json")
    readme = tmp_path / "README.md"
    readme.write_text("nothing to replace\n")
    with pytest.raises(SystemExit):
        report.main([str(tmp_path), "--readme", str(readme)])
    assert "lacks the marks <!-- benchmarks: begin -->" in capsys.readouterr().err
    assert readme.read_text() == "nothing to replace\n"
    assert [path.name for path in (tmp_path / "machine").iterdir()] == ["throughput.json"]


def test_a_readme_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, result: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(result, tmp_path / "throughput.json")
    with pytest.raises(SystemExit):
        report.main([str(tmp_path), "--readme", str(tmp_path / "absent.md")])
    assert "absent.md is no file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["throughput.json"]


def test_no_figure_is_older_than_its_results() -> None:
    readme, folder = ROOT / "README.md", ROOT / "benchmarks/results"
    pages, sections = report.read(folder, ROOT)
    pages[readme] = report.filled(readme, sections)
    there = {path: path.read_text(encoding="utf-8") for path in pages if path.is_file()}
    old = {path for path, text in pages.items() if there.get(path) != text}
    old |= {path for path in folder.rglob("*.svg") if path not in pages}
    names = ", ".join(sorted(str(path.relative_to(ROOT)) for path in old))
    assert not old, f"run: python benchmarks/report.py --readme README.md; it changes {names}"
