"""Results as Markdown: what the README shows of a machine."""

from collections.abc import Sequence
from typing import Any

from benchmarks import goals, machine, results
from benchmarks.suites import load
from benchmarks.summary import Row, figures
from benchmarks.tables import beside_bounds, cosine, number, span_of_rounds


def throughput(result: dict[str, Any], source: str) -> str:
    """The tables of one throughput result, under its machine; a goal that is not met says so."""
    lines = [f"**{cpu(result)}** (`{source}`)", ""]
    lines += [f"{line}  " for line in machine.header(result["machine"], results.runs(result["rows"]))]
    if result["method"]["allow_noise"]:
        lines.append("Not for publication: rounds on a machine that was not quiet were counted.  ")
    order = [case.name for case in load("throughput").CASES]
    for model, facts in result["models"].items():
        rows = [row for row in result["rows"] if row["model"] == model]
        cases = sorted({row["case"] for row in rows}, key=[*order, "real-texts"].index)
        units = {row["case"]: row["metric"] for row in rows}
        heads = [f"{case}, {units[case]}" for case in cases]
        weights = "real" if facts["real"] else "random"
        lines += ["", f"| {model}, {weights} weights | {' | '.join(heads)} | cosine min |"]
        lines += [f"|---|{'---:|' * (len(cases) + 1)}"]
        contenders = sorted({row["contender"] for row in rows}, key=lambda name: (not name.startswith("strizh"), name))
        lines += [_row(contender, cases, rows) for contender in contenders]
    if judged := goals.of_result(result):
        lines += [
            "",
            "| goal | beside | ratio (rounds) | of best runs | required | aim | |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_goal(one) for one in judged]
    return "\n".join(lines)


def cpu(result: dict[str, Any]) -> str:
    """The machine in a few words."""
    here = result["machine"]
    kinds = {"amx": "AMX", "avx512_bf16": "AVX-512 BF16, no AMX", "other": "neither AMX nor AVX-512 BF16"}
    return f"{here['cpu']}, {here['cores']} cores, {kinds[machine.kind(here)]}"


def _row(contender: str, cases: Sequence[str], rows: Sequence[Row]) -> str:
    own = {row["case"]: row for row in rows if row["contender"] == contender}
    cells = " | ".join(_cell(own.get(case)) for case in cases)
    known = [row for row in own.values() if row["parity"]["cosine_min"] is not None]
    worst = cosine(min(known, key=lambda row: float(row["parity"]["cosine_min"]))) if known else "-"
    return f"| {contender} | {cells} | {worst} |"


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if row["rounds"]:
        return number(figures(row)["median"]) + (" FAIL" if row["parity"]["misses"] else "")
    return "failed" if row["error"] else "FAIL" if row["parity"]["misses"] else "noisy"


def _goal(one: dict[str, Any]) -> str:
    bounds = ["-" if one[name] is None else f"{one['sense']} {one[name]:g}" for name in ("required", "aim")]
    middle = beside_bounds(one["ratio"], one["required"], one["aim"])
    ratio = f"{middle} ({span_of_rounds(one)}) | {one['best']:.2f}"
    verdict = one["verdict"] if one["verdict"] in ("PASS", "aim met") else f"**{one['verdict']}**"
    return f"| {one['model']}, {one['case']}: {one['ours']} | {one['theirs']} | {ratio} | {' | '.join(bounds)} | {verdict} |"
