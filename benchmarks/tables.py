"""Results as text: aligned tables under the machine's header."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks import machine, results
from benchmarks.summary import (
    Row,
    cpu_seconds_per_1000_tokens,
    fastest,
    figures,
    joules_per_1000_tokens,
    value,
)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned, the first to the left and the others to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = line
    cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
    return "  ".join((first.ljust(widths[0]), *cells)).rstrip()


_MOST_DIGITS = 6
ROUNDS = (
    "token ids in, vectors out, loading and compiling not counted; of the case `texts` tokenization counts",
    "every engine in its own process, stopped while others run; a warm-up before each turn",
)


def heading(result: dict[str, Any], *notes: str) -> str:
    """What stands above every table: the machine, the versions, how it was measured, and what is not in the figures."""
    method = result["method"]
    lines = machine.header(result["machine"], results.runs(result["rows"]))
    lines.append(" ".join(f"{name} {version}" for name, version in sorted(result["versions"].items())))
    timed = any("rounds" in row for row in result["rows"])
    rounds = f", {method['rounds']} interleaved rounds, {method['seconds']} s a turn" if timed else ""
    lines.append(f"{result['threads']} threads for all{rounds}")
    lines += notes
    if method["allow_noise"]:
        lines.append("NOT FOR PUBLICATION: rounds on a machine that was not quiet were counted")
    return "\n".join(line for line in lines if line)


def by_model(result: dict[str, Any], show: Callable[[list[Row]], str]) -> list[str]:
    """A block for each model that has rows."""
    names = dict.fromkeys(row["model"] for row in result["rows"])
    return [f"## {name}\n\n{show([row for row in result['rows'] if row['model'] == name])}" for name in names]


def timings(rows: Sequence[Row]) -> str:
    """One table a case: figures with their range, parity beside speed."""
    return "\n\n".join(_case(case, [row for row in rows if row["case"] == case]) for case in _cases(rows))


def _case(case: str, rows: Sequence[Row]) -> str:
    ours = fastest([row for row in rows if row["ours"]])
    unit = rows[0]["metric"]
    heads = (
        f"{case}, {rows[0]['tokens']} tokens",
        unit,
        "range",
        "of our best",
        "batch",
        "cosine min",
        "cpu-s/1k tokens",
    )
    timed = [row for row in rows if row["rounds"]]
    lines = [_line(row, ours) for row in sorted(timed, key=lambda row: -_speed(row))]
    lines += [_untimed(row) for row in rows if not row["rounds"]]
    return table(heads, lines)


def _line(row: Row, ours: Row | None) -> tuple[str, ...]:
    found = figures(row)
    relative = f"{_speed(row) / _speed(ours):.2f}" if ours else ""
    energy = joules_per_1000_tokens(row)
    return (
        name(row),
        number(found["median"]),
        f"{number(found['low'])}..{number(found['high'])}",
        relative,
        str(row["batch_size"] or "own"),
        cosine(row) + (" FAIL" if row["parity"]["misses"] else ""),
        f"{cpu_seconds_per_1000_tokens(row):.3f}" + (f", {energy:.1f} J" if energy is not None else ""),
    )


def _untimed(row: Row) -> tuple[str, ...]:
    return name(row), _why_not(row), "", "", "", cosine(row), ""


def name(row: Row) -> str:
    """The contender, with the file or the options of a peer that has several."""
    plain = row.get("ours") or not row["configuration"]
    return str(row["contender"]) if plain else f"{row['contender']} ({row['configuration']})"


def _why_not(row: Row) -> str:
    if row["error"]:
        return f"failed: {row['error'][:60]}"
    return f"FAIL: {'; '.join(row['parity']['misses'])}" if row["parity"]["misses"] else "no quiet round in time"


def latencies(rows: Sequence[Row]) -> str:
    """One line a contender: p50, p95 and p99 of one text in ms, for each length."""
    cases = _cases(rows)
    lines = []
    for contender in dict.fromkeys(row["contender"] for row in rows):
        own = {row["case"]: row for row in rows if row["contender"] == contender}
        lines.append((contender, *(_quantiles(own.get(case)) for case in cases)))
    return table(("p50/p95/p99, ms", *cases), lines)


def _quantiles(row: Row | None) -> str:
    if row is None:
        return "-"
    if not row["rounds"]:
        return "failed" if row["error"] else "FAIL" if row["parity"]["misses"] else "noisy"
    return "/".join(number(value(row, seconds)) for seconds in row["quantiles"].values())


def goals(judgements: Sequence[dict[str, Any]]) -> str:
    """Where strizh stands beside what it asks of itself."""
    heads = ("goal", "beside", "ratio", "range of rounds", "of best runs", "required", "aim", "")
    lines = [
        (
            f"{one['ours']}, {one['case']}",
            one["theirs"],
            beside_bounds(one["ratio"], one["required"], one["aim"]),
            span_of_rounds(one),
            f"{one['best']:.2f}",
            "-" if one["required"] is None else f"{one['sense']} {one['required']:g}",
            "-" if one["aim"] is None else f"{one['sense']} {one['aim']:g}",
            one["verdict"],
        )
        for one in judgements
    ]
    return table(heads, lines)


def span_of_rounds(one: dict[str, Any]) -> str:
    """The ratio's range and of how many common rounds it is; without one, that it is a ratio of medians."""
    if not one["rounds"]:
        return "medians, no common round"
    return f"{one['low']:.2f}..{one['high']:.2f} of {one['rounds']}"


def beside_bounds(figure: float, *bounds: float | None, digits: int = 2) -> str:
    """A figure with so many digits behind the point, or more where rounding would put it on a bound or beyond one.

    1.066 against a required 1.07 would otherwise read "1.07, short".
    """
    known = [bound for bound in bounds if bound is not None]

    def sides(value: float) -> list[tuple[bool, bool]]:
        return [(value < bound, value > bound) for bound in known]

    while digits < _MOST_DIGITS and sides(round(figure, digits)) != sides(figure):
        digits += 1
    return f"{figure:.{digits}f}"


def absent(result: dict[str, Any]) -> list[str]:
    """What was not measured, and why; nothing if all was."""
    lines = [f"- {one['model']}: {one['contender']}: {one['why']}" for one in result["absent"]]
    return ["not measured:\n" + "\n".join(lines)] if lines else []


def cosine(row: Row) -> str:
    """The least cosine of a row's batch to the reference."""
    least = row["parity"]["cosine_min"]
    return "-" if least is None else f"{least:.6f}"


def number(figure: float) -> str:
    """Three digits that count, thousands apart."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def _speed(row: Row) -> float:
    found = figures(row)["median"]
    return found if row["metric"] == "tokens/s" else 1 / found


def _cases(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["case"] for row in rows))
