"""Results survive JSON; tables line up."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import results, tables
from benchmarks.errors import UnfitFile


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    result = {"suite": "latency", "rows": [{"contender": "стриж", "seconds": [1e-7, 0.25]}], "machine": {"cpu": None}}
    results.write(result, tmp_path / "new" / "result.json")
    assert results.read(tmp_path / "new" / "result.json") == result


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        results.write({"figure": float("nan")}, tmp_path / "result.json")


def test_another_format_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"format": 0}))
    with pytest.raises(UnfitFile, match="measure again"):
        results.read(path)


def test_columns_line_up() -> None:
    lines = tables.table(("name", "tokens/s"), [("a", "1"), ("longer", "1,000,000")]).splitlines()
    assert lines == ["name     tokens/s", "a               1", "longer  1,000,000"]


def run(rows: dict[str, str], cpu: str = "a CPU", **more: Any) -> dict[str, Any]:
    """A result with a row for each case and the one contender of it."""
    machine = {"cpu": cpu, "flags": [], "cores": 2, "commit": "abc", "date": "today"}
    found = [{"model": "base", "contender": one, "configuration": "x", "case": case} for case, one in rows.items()]
    blank: dict[str, Any] = {"failures": [], "absent": []}
    return {"suite": "throughput", "machine": machine, "threads": 2, "rows": found} | blank | more


def test_runs_fill_one_file_case_by_case(tmp_path: Path) -> None:
    path = tmp_path / "throughput.json"
    missing = {"model": "base", "contender": "c", "why": "not installed"}
    lines = ["base: b on 16x128: failed", "base: a on 1x16: failed"]
    results.update(run({"16x128": "b", "1x16": "a"}, absent=[missing], failures=lines), path)
    results.update(run({"16x128": "c", "ragged": "c"}), path)
    merged = results.read(path)
    assert [(row["case"], row["contender"]) for row in merged["rows"]] == [
        ("1x16", "a"),
        ("16x128", "c"),
        ("ragged", "c"),
    ]
    assert all(row["measured"] == "commit abc, today" for row in merged["rows"])
    assert merged["absent"] == []  # it is there now
    assert merged["failures"] == ["base: a on 1x16: failed"]  # of the case that was not measured again


def test_versions_of_every_run_that_a_row_is_left_of_stand_above_the_table(tmp_path: Path) -> None:
    path = tmp_path / "throughput.json"

    def measure(rows: dict[str, str], commit: str, **versions: str) -> dict[str, Any]:
        result = run(rows, versions=versions)
        result["machine"]["commit"] = commit
        results.update(result, path)
        return results.read(path)

    measure({"16x128": "a", "1x16": "a"}, "one", engine="1.9", gone="7")
    both = measure({"1x16": "a"}, "two", engine="1.10", other="3")
    assert both["versions"] == {"engine": "1.10/1.9", "gone": "7", "other": "3"}
    assert both["runs"]["commit two, today"] == {"engine": "1.10", "other": "3"}
    assert results.runs(both["rows"]) == ["commit one, today", "commit two, today"]
    last = measure({"16x128": "a"}, "three", engine="1.11")
    assert last["versions"] == {"engine": "1.10/1.11", "other": "3"}  # nothing is left of the first run
    del last["runs"]  # as it was written once: all versions are those of each row that was there
    results.write(last, path)
    assert measure({"16x128": "a"}, "four", engine="2")["versions"] == {"engine": "1.10/1.11/2", "other": "3"}


def test_a_case_without_a_quiet_round_pushes_no_older_one_out(tmp_path: Path) -> None:
    path = tmp_path / "throughput.json"
    quiet, noisy = run({"1x16": "a"}), run({"1x16": "a", "ragged": "a"})
    quiet["rows"][0]["rounds"] = [{"median": 1.0}]
    for row in noisy["rows"]:
        row["rounds"] = []
    results.update(quiet, path)
    results.update(noisy, path)
    assert [(row["case"], len(row["rounds"])) for row in results.read(path)["rows"]] == [("1x16", 1), ("ragged", 0)]


def test_machines_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "throughput.json"
    results.update(run({"1x16": "a"}), path)
    with pytest.raises(UnfitFile, match="elsewhere"):
        results.update(run({"1x16": "a"}, cpu="another"), path)
    with pytest.raises(UnfitFile, match="elsewhere"):
        results.update(run({"1x16": "a"}, threads=1), path)


@pytest.mark.parametrize("content", ["{", "[1]", "\x00", "7"])
def test_what_is_no_result_at_all_is_refused_in_the_same_way(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UnfitFile, match=r"result\.json is no result of format"):
        results.read(tmp_path / "result.json")
    with pytest.raises(UnfitFile, match=r"absent\.json cannot be read: No such file"):
        results.read(tmp_path / "absent.json")


def test_a_place_that_cannot_be_written_is_refused_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    machine = run({})["machine"]
    for place in (tmp_path, tmp_path / "file" / "result.json"):
        with pytest.raises(UnfitFile, match="cannot be written"):
            results.check_fits(place, "throughput", machine, 2)
    results.check_fits(tmp_path / "new" / "folder" / "result.json", "throughput", machine, 2)


def test_choices_are_taken_from_a_result_of_this_machine_that_chose(tmp_path: Path) -> None:
    path = tmp_path / "throughput.json"
    choice = {"batch_size": 8, "rounds": [{"median": 1.0}]}
    chose = run({"1x16": "a", "ragged": "b"})
    chose["rows"][0] |= choice
    chose["rows"][1] |= choice | {"rounds": []}  # nothing was measured: there is nothing to take
    results.write(chose, path)
    here = chose["machine"]
    assert [row["case"] for row in results.settled(path, here, 2)] == ["1x16"]
    with pytest.raises(UnfitFile, match="has cores 2, here is 4"):
        results.settled(path, here | {"cores": 4}, 2)
    with pytest.raises(UnfitFile, match="has threads 2, here is 1"):
        results.settled(path, here, 1)
    results.write(chose | {"suite": "memory", "rows": [{"model": "base", "contender": "a", "bytes": 1}]}, path)
    with pytest.raises(UnfitFile, match=r"\(memory\) holds no choice"):
        results.settled(path, here, 2)


@pytest.mark.parametrize(
    ("figure", "bounds", "text"),
    [
        (1.066, (1.07, 1.18), "1.066"),  # short, and "1.07" would not say so
        (1.0696, (1.07, None), "1.0696"),
        (0.7004, (0.7, 0.6), "0.7004"),
        (1.07, (1.07, None), "1.07"),
        (1.0749, (1.1, None), "1.07"),
        (1.234, (None, None), "1.23"),
    ],
)
def test_a_figure_stands_on_the_side_of_its_bound_that_it_is_on(
    figure: float, bounds: tuple[float | None, ...], text: str
) -> None:
    assert tables.beside_bounds(figure, *bounds) == text


@pytest.mark.parametrize(("figure", "text"), [(0.123, "0.12"), (12.34, "12.3"), (1234.5, "1,234")])
def test_three_digits_count(figure: float, text: str) -> None:
    assert tables.number(figure) == text
