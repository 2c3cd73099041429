"""Results survive JSON; tables line up."""

import json
from pathlib import Path

import pytest

from benchmarks import results, tables


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
    with pytest.raises(ValueError, match="measure again"):
        results.read(path)


def test_columns_line_up() -> None:
    lines = tables.table(("name", "tokens/s"), [("a", "1"), ("longer", "1,000,000")]).splitlines()
    assert lines == ["name     tokens/s", "a               1", "longer  1,000,000"]


@pytest.mark.parametrize(("figure", "text"), [(0.123, "0.12"), (12.34, "12.3"), (1234.5, "1,234")])
def test_three_digits_count(figure: float, text: str) -> None:
    assert tables.number(figure) == text
