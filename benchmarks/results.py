"""A suite's result: plain data, written as JSON and read again by `report.py` and `compare.py`."""

import json
from pathlib import Path
from typing import Any

FORMAT = 1


def write(result: dict[str, Any], path: Path) -> None:
    """Write a result. Numbers that are not finite are refused, since JSON has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": FORMAT} | result, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read a result. Raises `ValueError` for one of another format."""
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if result.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is no result of format {FORMAT}; measure again with benchmarks/run.py")
    return result
