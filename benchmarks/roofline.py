"""Encoders beside the ceilings of the machine: the share of them that is useful work, and the least time of one query."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks import tables
from benchmarks.summary import Row
from benchmarks.workloads import Case

_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
# Shares of the measured ceiling that 16 x 128 tokens must reach on the base geometry: required, aim.
GOALS = {
    ("amx", "bf16"): (0.38, 0.55),
    ("amx", "int8"): (0.27, 0.40),
    ("avx512_bf16", "bf16"): (0.82, 0.90),
    ("avx512_bf16", "int8"): (0.72, 0.85),
}


def flops(shape: Mapping[str, int], lengths: Sequence[int]) -> float:
    """Operations of an encoder's matrix products, every row of every layer: a multiplication and an addition count as two.

    4 h^2 + 2 h i multiplications a token and layer for the linear layers; a token meets each token of its own text
    twice, in QK^T and in PV, with h multiplications each.
    """
    attention = sum(length**2 for length in lengths) * 2 * shape["hidden_size"]
    return 2.0 * shape["num_hidden_layers"] * (sum(lengths) * _weights(shape) + attention)


def floor_seconds(
    shape: Mapping[str, int], lengths: Sequence[int], precision: str, ceiling: Mapping[str, float]
) -> float:
    """No encoder of this precision that computes every row is quicker: its products at the ceiling, or its weights read once,
    whichever is more."""
    weights = shape["num_hidden_layers"] * _weights(shape) * _BYTES[precision]
    return max(flops(shape, lengths) / ceiling[precision], weights / ceiling["memory"])


def shares(
    rows: Sequence[Row], cases: Sequence[Case], models: Mapping[str, Any], ceiling: Mapping[str, float], kind: str
) -> Iterator[dict[str, Any]]:
    """Share of the ceiling of every timed row whose precision the machine has an instruction for, with its goal."""
    lengths = {case.name: case.lengths for case in cases}
    for row in rows:
        precision = row["precision"]
        if not row["rounds"] or precision not in ceiling or not lengths.get(row["case"]):
            continue
        shape, texts = models[row["model"]]["shape"], lengths[row["case"]]
        seconds = median(one["median"] for one in row["rounds"])
        share = flops(shape, texts) / seconds / ceiling[precision]
        stated = row["contender"] == f"strizh cpu-{precision}" and (row["model"], row["case"]) == ("base", "16x128")
        required, aim = GOALS.get((kind, precision), (None, None)) if stated else (None, None)
        yield {
            "model": row["model"],
            "contender": row["contender"],
            "case": row["case"],
            "seconds": seconds,
            "share": share,
            "floor_seconds": floor_seconds(shape, texts, precision, ceiling),
            "required": required,
            "aim": aim,
            "verdict": _verdict(share, required, aim),
        }


def table(found: Sequence[Mapping[str, Any]], ceiling: Mapping[str, float]) -> str:
    """The shares under the ceilings that they are shares of."""
    rates = [f"{name} {rate / 1e9:,.0f} GOP/s" for name, rate in ceiling.items() if name != "memory"]
    first = f"ceilings of all threads: {', '.join(rates)}, memory reads {ceiling['memory'] / 1e9:.0f} GB/s"
    heads = ("useful products", "case", "ms", "floor, ms", "of ceiling", "required", "aim", "")
    return f"{first}\n\n{tables.table(heads, [_line(one) for one in found])}"


def _line(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{one['model']}: {one['contender']}",
        one["case"],
        tables.number(1000 * one["seconds"]),
        tables.number(1000 * one["floor_seconds"]),
        f"{one['share']:.0%}",
        *("-" if bound is None else f">= {bound:.0%}" for bound in (one["required"], one["aim"])),
        one["verdict"],
    )


def _verdict(share: float, required: float | None, aim: float | None) -> str:
    if required is None or aim is None:
        return ""
    return "aim met" if share >= aim else "PASS" if share >= required else "short"


def _weights(shape: Mapping[str, int]) -> int:
    """Numbers in the weight matrices of one layer."""
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    return 4 * hidden**2 + 2 * hidden * inner
