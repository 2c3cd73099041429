"""The command, end to end on the embedded checkpoint: quick, and its figures mean nothing."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine, results, run, suites
from strizh.export import recipes

CHECKPOINT = Path(__file__).resolve().parents[1] / "data" / "rope-e5-tiny-ru"
QUICK = ("latency", "--models", str(CHECKPOINT), "--rounds", "1", "--seconds", "0.01", "--allow-noise")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("result") / "latency.json"
    assert run.main([*QUICK, "--engines", "strizh portable-fp32,strizh ort-fp32", "--json", str(path)]) == 0
    return results.read(path)


def test_every_row_has_its_parity_and_its_rounds(result: dict[str, Any]) -> None:
    rows = {(row["contender"], row["case"]): row for row in result["rows"]}
    cases = ("1x8", "1x16", "1x64", "1x128", "1x512")
    (left_out,) = result["absent"]
    assert (left_out["contender"], left_out["why"]) == ("1x2048", "longer than the model's 512 tokens")
    assert set(rows) == {(f"strizh {name}-fp32", case) for name in ("portable", "ort") for case in cases}
    for row in rows.values():
        assert row["parity"]["cosine_min"] >= 0.999999
        assert len(row["rounds"]) == 1
        assert row["rounds"][0]["least"] > 0


def test_a_second_run_replaces_its_own_cases_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    for engines, cases in (("strizh portable-fp32", "1x8,1x16"), ("strizh ort-fp32", "1x16,1x64")):
        assert run.main([*QUICK, "--engines", engines, "--cases", cases, "--json", str(path)]) == 0
    rows = [(row["contender"], row["case"]) for row in results.read(path)["rows"]]
    assert sorted(rows) == [
        ("strizh ort-fp32", "1x16"), ("strizh ort-fp32", "1x64"), ("strizh portable-fp32", "1x8"),
    ]  # fmt: skip


def test_the_conditions_stand_with_the_figures(result: dict[str, Any]) -> None:
    assert result["suite"] == "latency"
    assert result["machine"]["commit"]
    assert result["machine"]["cores"] >= 1
    assert {"strizh", "onnxruntime"} <= set(result["versions"])
    (model,) = result["models"].values()
    assert model["real"] is True
    assert model["reference"] == "torch fp32"


def test_a_row_outside_its_promise_prints_fail_and_the_command_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = recipes.Promise(cosine_min=1.0, cosine_mean=1.0, max_abs=-1.0)
    recipe = recipes.find_recipe("portable-fp32")
    kept = {field: getattr(recipe, field) for field in ("name", "target", "precision", "file", "classifier")}
    monkeypatch.setattr(recipes, "find_recipe", lambda name: recipes.Recipe(**kept, promise=broken))
    assert run.main([*QUICK, "--engines", "strizh portable-fp32"]) == 1
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--json", "--settled"])
def test_a_file_that_is_no_result_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (tmp_path / "old.json").write_text("{}")
    assert run.main(["latency", "--models", "no such", option, str(tmp_path / "old.json")]) == 2
    assert "is no result of format" in capsys.readouterr().err


def test_a_result_of_another_suite_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "startup.json"
    results.write({"suite": "startup", "threads": 1, "machine": machine.describe(), "rows": []}, path)
    assert run.main(["latency", "--models", "no such", "--threads", "1", "--json", str(path)]) == 2
    assert "of another suite" in capsys.readouterr().err


def test_every_suite_says_what_it_is() -> None:
    for name in suites.names():
        suite = suites.load(name)
        assert suite.HELP
        assert suite.MODELS
        assert set(suite.HEEDS) <= set(suites.OPTIONS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("latency", "--threads", "0"), "--threads is 0, expected 1 or more"),
        (("latency", "--rounds", "-1"), "--rounds is -1, expected 0 or more"),
        (("latency", "--seconds", "nan"), "--seconds is nan, expected 0 or more"),
        (("memory", "--batches", "0"), "--batches is 0, expected 1 or more"),
        (("quality", "--texts", "no such"), "no such is no folder; --texts wants one"),
        (("latency", "--json", "/"), "/ cannot be written"),
        (("memory", "--texts", "."), "memory has no use for --texts"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, tuple) else "",
)
def test_what_an_option_cannot_be_is_one_line(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert run.main([*options, "--models", "no such"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
