"""The GPU benchmark's results as Markdown: what the README shows of them."""

from collections.abc import Mapping, Sequence
from typing import Any

SUITE = "gpu"
Result = Mapping[str, Any]


def markdown(found: Mapping[str, Result]) -> str:
    """Every result, by its file."""
    return "\n\n".join("\n".join(_lines(source, result)) for source, result in found.items())


def _lines(source: str, result: Result) -> list[str]:
    here, parity = result["machine"], result["parity"]
    versions = ", ".join(f"{name} {version}" for name, version in here.get("versions", {}).items())
    ceiling = here.get("ceiling_fp16")  # which a step measures that may have failed
    lines = [
        f"**{here['gpu']}** (`{source}`)",
        "",
        f"commit {here['commit']}, {here['date']}, driver {here.get('driver') or 'not stated'}, {versions}  ",
        *([f"ceiling {ceiling / 1e12:.0f} TFLOP/s, of a product of 8192 x 8192 in fp16  "] if ceiling else []),
        f"parity: {sum(row['kept'] for row in parity)} of {len(parity)} promises kept",
    ]
    for row in parity:
        if not row["kept"]:
            why = row.get("error") or f"cosine {row['cosine_min']:.7f} at worst, promised {row['promised']}"
            lines.append(f"- MISSED: {row['family']}, {row['engine']}, {row['precision']}: {why}")
    for model in dict.fromkeys(row["model"] for row in result["rows"]):
        lines += ["", *_table([row for row in result["rows"] if row["model"] == model])]
    left_out = [f"- not measured: {name}: {why}" for name, why in result["absent"].items()]
    left_out += [f"- {one['step']}: {one['outcome']}" for one in result["steps"] if one["outcome"] != "done"]
    return [*lines, *(["", *left_out] if left_out else [])]


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Contenders of one model by case: milliseconds of one text, tokens a second of more."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    cells = {(row["contender"], row["case"]): _cell(row) for row in rows}
    lines = [f"| {rows[0]['model']} | {' | '.join(cases)} |", f"|---|{'---:|' * len(cases)}"]
    for contender in dict.fromkeys(row["contender"] for row in rows):
        lines.append(f"| {contender} | {' | '.join(cells.get((contender, case), '-') for case in cases)} |")
    return lines


def _cell(row: Mapping[str, Any]) -> str:
    if row["case"].startswith("1 x "):
        return f"{row['ms']:.3f} ms"
    share = f", {row['share_of_ceiling']:.0%} of the ceiling" if "share_of_ceiling" in row else ""
    return f"{row['tokens_per_second']:,.0f} tokens/s{share}"
