"""What the README says of a machine: strizh beside the quickest other engine in a line for each case, and where it loses."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import goals, losses
from benchmarks.summary import Row, figures
from benchmarks.tables import beside_bounds, number

Result = dict[str, Any]
Judged = dict[str, Any]
_VARIANTS = ("strizh cpu-bf16", "strizh cpu-int8")
_MET = ("PASS", "aim met")
_NONE = "-"


def speed(result: Result) -> str:
    """Each case of a throughput result that a goal compares with another engine; a variant's pair of columns each."""
    judged = [one for one in goals.of_result(result) if _is_rival(one)]
    rows = {(row["model"], row["case"], row["contender"]): row for row in result["rows"] if row["rounds"]}
    heads = ["", *(head for variant in _VARIANTS for head in (variant, "quickest other", "times as fast"))]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for model, case in dict.fromkeys((one["model"], one["case"]) for one in judged if one["ours"] in _VARIANTS):
        own = {one["ours"]: one for one in judged if (one["model"], one["case"]) == (model, case)}
        cells = [cell for variant in _VARIANTS for cell in _cells(own.get(variant), rows)]
        unit = next(row["metric"] for key, row in rows.items() if key[:2] == (model, case))
        lines.append([f"{model}, {case}, {unit}", *cells])
    return _table(lines)


def quality(result: Result, parity: Result) -> str:
    """What each of strizh's variants, and the int8 of others, costs on labelled texts; all engines are on the machine's page."""
    heads = ["", "engine", "cosine mean", "min", *losses.SCORES, ""]
    lines = [heads, ["---", "---", *["---:"] * (len(heads) - 3), "---"]]
    for model in result["models"]:
        for one in losses.of_model(result, parity, model):
            if one.limits or ("int8" in one.name and one.cells[0] != _NONE):
                lines.append([model, one.name, *(cell.partition(" (>=")[0] for cell in one.cells[:-1]), one.verdict])
    return _table(lines)


def shortfalls(result: Result) -> str:
    """Where strizh is behind another engine, and which of its goals it misses: by name, or that there is none."""
    judged = goals.of_result(result)
    met = sum(one["verdict"] in _MET for one in judged)
    behind = [one for one in judged if _is_rival(one) and _times(one) < 1]
    short = [one for one in judged if one["verdict"] not in _MET and not _is_open(one)]
    waiting = [f"{_subject(one)} ({str(one['verdict']).partition(' of ')[2]})" for one in judged if _is_open(one)]
    return "\n".join([
        f"Of {len(judged)} goals on this machine {met} are met. Slower than another engine:"
        f"{_listed(_together(behind, _shown, lambda one: f'times as fast as {_theirs(one)}'))}",
        "",
        f"Short of what strizh asks of itself:{_listed(_together(short, _figure, _asked))}",
        *(["", f"Open, since an engine beside it had no quiet round: {'; '.join(waiting)}."] if waiting else []),
    ])  # fmt: skip


def _together(judged: Sequence[Judged], figure: Callable[[Judged], str], what: Callable[[Judged], str]) -> list[str]:
    """A line for each variant and what is said of it, with the cases in which it is."""
    lines = dict[tuple[str, str], list[str]]()
    for one in judged:
        cases = lines.setdefault((one["ours"].removeprefix("strizh "), what(one)), [])
        cases.append(f"{one['model']}, {one['case']}: {figure(one)}")
    return [f"{ours} on {'; '.join(cases)} {said}" for (ours, said), cases in lines.items()]


def _is_rival(one: Judged) -> bool:
    return not one["theirs"].startswith("strizh ")


def _times(one: Judged) -> float:
    """How many times as fast as the other: above 1 is faster, whatever the unit."""
    return float(one["ratio"] if one["sense"] == ">=" else 1 / one["ratio"])


def _shown(one: Judged) -> str:
    return beside_bounds(_times(one), 1.0)


def _cells(one: Judged | None, rows: dict[tuple[str, str, str], Row]) -> tuple[str, str, str]:
    if one is None:
        return (_NONE,) * 3
    ours, theirs = (
        number(figures(rows[one["model"], one["case"], one[side]])["median"]) for side in ("ours", "theirs")
    )
    mark = "**" if _times(one) < 1 else ""
    return ours, f"{theirs} ({one['theirs']})", f"{mark}{_shown(one)}{mark}" + (", open" if _is_open(one) else "")


def _is_open(one: Judged) -> bool:
    return str(one["verdict"]).startswith("open")


def _subject(one: Judged) -> str:
    return f"{one['ours'].removeprefix('strizh ')} on {one['model']}, {one['case']}"


def _theirs(one: Judged) -> str:
    return str(one["theirs"]).removeprefix("strizh ")


def _figure(one: Judged) -> str:
    return beside_bounds(one["ratio"], one["required"], one["aim"])


def _asked(one: Judged) -> str:
    what = "of the speed" if one["sense"] == ">=" else "of the time"
    asked = (
        f"{one['sense']} {one['required']:g} asked"
        if one["required"] is not None
        else f"{one['sense']} {one['aim']:g} aimed at"
    )
    why = "" if one["verdict"] == "short" else f"; {one['verdict']}"
    return f"{what} of {_theirs(one)}, {asked}{why}"


def _listed(lines: Sequence[str]) -> str:
    return "\n" + "\n".join(f"- {line}" for line in lines) if lines else " none."


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
