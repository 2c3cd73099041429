"""A suite's result: plain data, written as JSON and read again by `report.py`. Several runs of a suite fill one file."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import UnfitFile
from benchmarks.machine import stamp
from benchmarks.summary import Row

FORMAT = 1
# What makes machines and conditions the same, so that figures may stand in one file.
_CONDITIONS = ("cpu", "flags", "cores")
# What was measured together: contenders of one case are interleaved, so they are replaced together.
_UNIT = ("model", "case", "axis", "threads")
# What a row has to say of an engine's choice on a case.
_CHOICE = ("model", "case", "contender", "configuration", "batch_size")


def update(result: dict[str, Any], path: Path) -> None:
    """Write a result; of the one that is there already, what was not measured anew stays.

    Every row says when and at which commit it was measured; `runs` holds the versions of each such run, and `versions` all of
    them that a row is left of. Raises `UnfitFile` where the two cannot stand in one file.
    """
    run = stamp(result["machine"])
    for row in result["rows"]:
        row["measured"] = run
    result = result | {"runs": {run: result.get("versions", {})}}
    if path.exists():
        old = read(path)
        _check_fits(old, result, path)
        result = _merged(old, result)
    write(result, path)


def write(result: dict[str, Any], path: Path) -> None:
    """Write a result. Numbers that are not finite are refused, since JSON has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": FORMAT} | result, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read a result. Raises `UnfitFile` for what is none, or one of another format."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnfitFile(f"{path} cannot be read: {error.strerror}; give a file that benchmarks/run.py wrote") from error
    except ValueError:  # no JSON, or no text at all
        result = None
    if not isinstance(result, dict) or result.pop("format", None) != FORMAT:
        raise UnfitFile(f"{path} is no result of format {FORMAT}; measure again with benchmarks/run.py")
    return result


def check_fits(path: Path, suite: str, machine: dict[str, Any], threads: int) -> None:
    """Raises `UnfitFile` where a result of this suite, measured here, could not be written: asked before measuring."""
    home = next((folder for folder in path.absolute().parents if folder.exists()), path)
    if path.is_dir() or not home.is_dir() or not os.access(path if path.exists() else home, os.W_OK):
        raise UnfitFile(f"{path} cannot be written; give a file in a folder of yours")
    if path.exists():
        _check_fits(read(path), {"suite": suite, "machine": machine, "threads": threads}, path)


def settled(path: Path, machine: dict[str, Any], threads: int) -> list[Row]:
    """Rows of an earlier result whose files and batch sizes are right here too: those that were timed.

    Raises `UnfitFile` where the result is of a suite that chooses none, of another machine or number of threads.
    """
    result = read(path)
    rows = [row for row in result.get("rows", ()) if row.get("rounds")]
    if not rows or any(name not in row for row in rows for name in _CHOICE):
        raise UnfitFile(
            f"{path} ({result.get('suite')}) holds no choice of files and batch sizes; give one of throughput"
        )
    here = {name: machine[name] for name in _CONDITIONS} | {"threads": threads}
    there = {name: result["machine"][name] for name in _CONDITIONS} | {"threads": result["threads"]}
    for name, value in here.items():
        if there[name] != value:
            raise UnfitFile(f"{path} has {name} {there[name]}, here is {value}: choose anew, without --settled")
    return rows


def _check_fits(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    for name in _CONDITIONS:
        if old["machine"][name] != new["machine"][name]:
            raise UnfitFile(f"{path} has {name} {old['machine'][name]}: write this machine's result elsewhere")
    if (old["suite"], old.get("threads")) != (new["suite"], new.get("threads")):
        raise UnfitFile(f"{path} is of another suite or number of threads: write this result elsewhere")


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    measured = _measured(old["rows"], new["rows"])
    new = new | {"rows": [row for row in new["rows"] if _unit(row) in measured]}
    merged = new | {"rows": [row for row in old["rows"] if _unit(row) not in measured] + new["rows"]}
    merged |= {name: old[name] | new[name] for name in ("models", "installed") if name in new}
    merged |= _runs(old, new, merged["rows"])
    if "ceiling" in new:  # a ceiling is the most that was ever seen
        merged["ceiling"] = {name: max(rate, old["ceiling"].get(name, 0.0)) for name, rate in new["ceiling"].items()}
    if "method" in new:
        merged["method"] = new["method"] | {"allow_noise": old["method"]["allow_noise"] or new["method"]["allow_noise"]}
    return merged | _remarks(old, new, merged)


def together(*found: Mapping[str, str]) -> dict[str, str]:
    """Versions by package; where some differ, all of them, with strokes between."""
    known: dict[str, set[str]] = {}
    for versions in found:
        for name, version in versions.items():
            known.setdefault(name, set()).update(version.split("/"))
    return {name: "/".join(sorted(versions)) for name, versions in known.items()}


def runs(rows: Iterable[Row]) -> list[str]:
    """The runs that rows are of: each a commit and a day."""
    return sorted({row["measured"] for row in rows if "measured" in row})


def _runs(old: dict[str, Any], new: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Versions of each run that a row is left of, and of all those together."""
    known = old.get("runs") or dict.fromkeys(runs(old["rows"]), old.get("versions", {}))
    found = {run: together(known.get(run, {}), new["runs"].get(run, {})) for run in runs(rows)}
    return {"runs": found, "versions": together(*found.values())}


def _measured(old: Sequence[Row], new: Sequence[Row]) -> set[tuple[Any, ...]]:
    """What new rows stand for: a case in which no turn counted (`rounds` is empty throughout) pushes no older one out."""
    known = {_unit(row) for row in old}
    return {_unit(row) for row in new if row.get("rounds", True) or _unit(row) not in known}


def _remarks(old: dict[str, Any], new: dict[str, Any], merged: dict[str, Any]) -> dict[str, Any]:
    """Lines about what did not work: the old ones about what is measured anew go."""
    replaced = {_unit(row) for row in new["rows"]}
    again = tuple(_about(row) for row in [*old["rows"], *new["rows"]] if _unit(row) in replaced)
    absent = [one for one in old.get("absent", []) if one not in new.get("absent", [])]
    measured = {(row["model"], name) for row in merged["rows"] for name in _names(row)}
    return {
        "absent": [one for one in absent if (one["model"], one["contender"]) not in measured] + new.get("absent", []),
        "failures": [line for line in old["failures"] if not line.startswith(again)] + new["failures"],
        "thrown_away": old.get("thrown_away", []) + new.get("thrown_away", []),
    }


def _about(row: dict[str, Any]) -> str:
    """How a line of `failures` about this row begins."""
    name = row.get("contender") or row.get("variant")
    return f"{row['model']}: {name}" + (f" on {row['case']}:" if "case" in row else "")


def _names(row: dict[str, Any]) -> tuple[str, str]:
    return str(row.get("contender")), f"{row.get('contender')} ({row.get('configuration')})"


def _unit(row: dict[str, Any]) -> tuple[Any, ...]:
    """Rows of suites without cases stand each for itself."""
    if "case" in row:
        return tuple(row.get(name) for name in _UNIT)
    return tuple(row.get(name) for name in ("model", "contender", "configuration", "variant", "tokens"))
