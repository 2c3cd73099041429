"""What strizh asks of itself beside its peers: a ratio in a case, required and aimed at, by kind of machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.summary import Row, best_ratio, common_rounds, fastest, ratios

Bound = tuple[float, float]  # required, aim


@dataclass(frozen=True, slots=True)
class Goal:
    """`ours` against the fastest peer of `precisions`, or against one labelled `theirs` (possibly in another case).

    Bounds are ratios of the case's unit, by kind of machine: at least so many tokens/s, at most so many ms. A required
    bound of None is only aimed at.
    """

    models: tuple[str, ...]
    cases: tuple[str, ...]
    ours: str
    bounds: dict[str, tuple[float | None, float | None]]
    precisions: tuple[str, ...] = ("fp32", "bf16")
    theirs: str | None = None
    their_case: str | None = None


_BASE = ("base",)
_EVERY = ("amx", "avx512_bf16", "other")
_DENSE, _RAGGED = ("16x128", "4x512"), ("ragged",)
_ALL = ("fp32", "bf16", "int8")


def _everywhere(required: float | None, aim: float | None) -> dict[str, tuple[float | None, float | None]]:
    return dict.fromkeys(_EVERY, (required, aim))


GOALS = (
    Goal(_BASE, _DENSE, "strizh cpu-bf16", {"amx": (1.6, 2.2), "avx512_bf16": (1.07, 1.18)}),
    Goal(_BASE, _RAGGED, "strizh cpu-bf16", {"amx": (2.2, 3.2), "avx512_bf16": (1.2, 1.3)}),
    Goal(_BASE, ("1x16",), "strizh cpu-bf16", {"amx": (0.65, 0.5), "avx512_bf16": (0.7, 0.6)}),
    Goal(_BASE, ("1x128",), "strizh cpu-bf16", {"amx": (0.6, 0.45), "avx512_bf16": (0.88, 0.82)}),
    Goal(_BASE, ("1x2048", "1x8192"), "strizh cpu-bf16", {"amx": (None, 2.5), "avx512_bf16": (None, 1.3)}),
    Goal(("mini", "e5-small"), _RAGGED, "strizh cpu-bf16", {"amx": (1.0, 1.8), "avx512_bf16": (1.0, 1.4)}),
    Goal(("mini", "e5-small"), ("1x16",), "strizh cpu-bf16", {"amx": (1.0, 0.5), "avx512_bf16": (1.0, 0.6)}),
    Goal((), _RAGGED, "strizh cpu-bf16", _everywhere(0.92, None), theirs="strizh cpu-bf16", their_case="ragged-mean"),
    Goal((), _RAGGED, "strizh cpu-fp32", _everywhere(1.3, None), theirs="onnxruntime fp32"),
    Goal((), ("1x16", "1x128"), "strizh cpu-fp32", _everywhere(1.05, None), theirs="onnxruntime fp32"),
    Goal((), _RAGGED, "strizh cpu-fp32 (avx2)", _everywhere(1.0, None), theirs="onnxruntime fp32"),
    Goal((), _DENSE, "strizh cpu-int8", {"amx": (1.5, 2.5), "avx512_bf16": (1.0, 1.15)}, _ALL),
    Goal((), _RAGGED, "strizh cpu-int8", {"amx": (2.2, 4.0), "avx512_bf16": (1.2, 1.45)}, _ALL),
    Goal((), ("1x16",), "strizh cpu-int8", {"amx": (0.65, 0.45), "avx512_bf16": (0.65, 0.45)}, _ALL),
    Goal((), ("16x128", "ragged"), "strizh cpu-int8", {"amx": (1.3, 1.7), "avx512_bf16": (1.6, 1.85)}, theirs="strizh cpu-bf16"),
    Goal((), ("16x128", "ragged"), "strizh portable-int8", _everywhere(0.8, None), theirs="onnxruntime int8"),
    Goal((), ("16x128", "ragged"), "strizh portable-int8", _everywhere(1.0, None), theirs="strizh portable-fp32"),
)  # fmt: skip


def of_result(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Every goal that a result has figures for, with its `model`."""
    kind = machine.kind(result["machine"])
    rows = {name: [row for row in result["rows"] if row["model"] == name] for name in result["models"]}
    return [{"model": name, **one} for name, own in rows.items() for one in judge(own, kind)]


def judge(rows: Sequence[Row], kind: str) -> Iterator[dict[str, Any]]:
    """Every goal that the rows of one model have figures for, met or not, on this kind of machine."""
    by = {(row["contender"], row["case"]): row for row in rows if row["rounds"]}
    for goal in GOALS:
        for case in goal.cases:
            ours = by.get((goal.ours, case))
            if ours is None or kind not in goal.bounds or (goal.models and ours["model"] not in goal.models):
                continue
            theirs = _peer(goal, case, by)
            if theirs is not None:
                yield _judgement(goal, kind, ours, theirs) | _left_out(goal, case, rows)


def _left_out(goal: Goal, case: str, rows: Sequence[Row]) -> dict[str, Any]:
    """No verdict while a peer that ran, and could be the fastest, has no quiet round."""
    noisy = [
        row["contender"]
        for row in rows
        if row["case"] == case
        and _is_rival(goal, row)
        and not (row["rounds"] or row["error"] or row["parity"]["misses"])
    ]
    return {"verdict": f"open: no quiet round of {', '.join(noisy)}"} if noisy else {}


def _is_rival(goal: Goal, row: Row) -> bool:
    return goal.theirs is None and not row["ours"] and row["precision"] in goal.precisions


def _peer(goal: Goal, case: str, by: dict[tuple[str, str], Row]) -> Row | None:
    if goal.theirs is not None:
        return by.get((goal.theirs, goal.their_case or case))
    return fastest([row for (_, where), row in by.items() if where == case and _is_rival(goal, row)])


def _judgement(goal: Goal, kind: str, ours: Row, theirs: Row) -> dict[str, Any]:
    required, aim = goal.bounds[kind]
    found = ratios(ours, theirs)
    ratio = median(found)
    more_is_better = ours["metric"] == "tokens/s"

    def meets(bound: float | None) -> bool:
        return bound is None or (ratio >= bound if more_is_better else ratio <= bound)

    verdict = "short" if not meets(required) else "aim met" if aim is not None and meets(aim) else "PASS"
    if ours["parity"]["misses"]:
        verdict = "FAIL: parity"
    beside = theirs["contender"] + (f" on {theirs['case']}" if theirs["case"] != ours["case"] else "")
    return {
        "case": ours["case"],
        "ours": ours["contender"],
        "theirs": beside,
        "ratio": ratio,
        "low": min(found),
        "high": max(found),
        "rounds": common_rounds(ours, theirs),
        "best": best_ratio(ours, theirs),
        "sense": ">=" if more_is_better else "<=",
        "required": required,
        "aim": aim,
        "verdict": verdict,
    }
