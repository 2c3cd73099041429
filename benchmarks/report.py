"""Results to plots and to the README's tables: `python benchmarks/report.py [RESULTS] [--readme README.md]`.

Every `*.json` that `run.py --json` wrote into the folder gets its plots beside it. The tables replace what stands between
the two marks in the README, so that no figure there is older than its result; so does the table of families.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a script, not imported
    # The root may not stay on the path: its folder `kernels` would be taken for the package that transformers looks for.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import benchmarks  # noqa: F401

    del sys.path[0]

from benchmarks import machine, results, svg
from benchmarks.suites import families
from benchmarks.summary import Row, figures
from benchmarks.tables import number

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
FAMILIES_BEGIN, FAMILIES_END = "<!-- families: begin -->", "<!-- families: end -->"


def main(argv: Sequence[str] | None = None) -> int:
    """Write plots, and the tables into the README; 1 where the README has no marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=machine.ROOT / "benchmarks" / "results")
    parser.add_argument("--readme", type=Path, help="put the tables between the marks of this file")
    args = parser.parse_args(argv)
    found = {path: results.read(path) for path in sorted(args.results.glob("*.json"))}
    if not found:
        parser.error(
            f"{args.results} holds no results; measure with benchmarks/run.py SUITE --json {args.results}/SUITE.json"
        )
    for path, result in found.items():
        for name, plot in plots(result):
            target = path.with_name(f"{path.stem}-{name}.svg")
            target.write_text(plot, encoding="utf-8")
            print(target)
    tables = "\n\n".join(
        markdown(result, path.name) for path, result in found.items() if result["suite"] == "throughput"
    )
    by_family = {path.name: result for path, result in found.items() if result["suite"] == "families"}
    sections = [(tables, BEGIN, END)] if tables else []
    sections += [(families.markdown(by_family), FAMILIES_BEGIN, FAMILIES_END)] if by_family else []
    if args.readme is None:
        print("\n\n".join(text for text, _, _ in sections))
        return 0
    return max(_replace(args.readme, *section) for section in sections)


def plots(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and SVG of each plot of a result."""
    if result["suite"] in ("throughput", "latency"):
        timed = [row for row in result["rows"] if row["rounds"]]
        for model, case in dict.fromkeys((row["model"], row["case"]) for row in timed):
            rows = [row for row in timed if (row["model"], row["case"]) == (model, case)]
            yield f"{model}-{case}", svg.bars(f"{model}, {case}: {_cpu(result)}", rows[0]["metric"], _bars(rows))
    if result["suite"] == "quality":
        for model in dict.fromkeys(row["model"] for row in result["rows"]):
            rows = [row for row in result["rows"] if row["model"] == model]
            for task in rows[0]["scores"]:
                points = [
                    (row["contender"], row["tokens_per_second"], row["scores"][task], row["ours"]) for row in rows
                ]
                title = f"{model}, {task}: {_cpu(result)}"
                yield f"{model}-{_file_name(task)}", svg.scatter(title, "tokens/s", task, points)


def markdown(result: dict[str, Any], source: str) -> str:
    """The tables of one throughput result, under its machine; a goal that is not met says so."""
    lines = [f"**{_cpu(result)}** (`{source}`)", ""]
    lines += [f"{line}  " for line in machine.header(result["machine"])]
    if result["method"]["allow_noise"]:
        lines.append("Not for publication: rounds on a machine that was not quiet were counted.  ")
    for model in result["models"]:
        rows = [row for row in result["rows"] if row["model"] == model]
        cases = list(dict.fromkeys(row["case"] for row in rows))
        units = {row["case"]: row["metric"] for row in rows}
        heads = [f"{case}, {units[case]}" for case in cases]
        lines += ["", f"| {model} | {' | '.join(heads)} | cosine min |", f"|---|{'---:|' * (len(cases) + 1)}"]
        lines += [
            _markdown_row(contender, cases, rows) for contender in dict.fromkeys(row["contender"] for row in rows)
        ]
    if result["goals"]:
        lines += [
            "",
            "| goal | beside | ratio (rounds) | of best runs | required | aim | |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_goal(one) for one in result["goals"]]
    return "\n".join(lines)


def _markdown_row(contender: str, cases: Sequence[str], rows: Sequence[Row]) -> str:
    own = {row["case"]: row for row in rows if row["contender"] == contender}
    cells = []
    for case in cases:
        row = own.get(case)
        cells.append(
            number(figures(row)["median"])
            if row and row["rounds"]
            else "FAIL"
            if row and row["parity"]["misses"]
            else "-"
        )
    worst = min(row["parity"]["cosine_min"] for row in own.values())
    return f"| {contender} | {' | '.join(cells)} | {worst:.6f} |"


def _goal(one: dict[str, Any]) -> str:
    bounds = ["-" if one[name] is None else f"{one['sense']} {one[name]:g}" for name in ("required", "aim")]
    ratio = f"{one['ratio']:.2f} ({one['low']:.2f}..{one['high']:.2f}) | {one['best']:.2f}"
    verdict = f"**{one['verdict']}**" if one["verdict"] == "short" else one["verdict"]
    return f"| {one['model']}, {one['case']}: {one['ours']} | {one['theirs']} | {ratio} | {' | '.join(bounds)} | {verdict} |"


def _bars(rows: Sequence[Row]) -> list[tuple[str, float, float, float, bool]]:
    """Best first."""
    found = [
        (row["contender"], *(figures(row)[part] for part in ("median", "low", "high")), row["ours"]) for row in rows
    ]
    return sorted(found, key=lambda bar: bar[1], reverse=rows[0]["metric"] == "tokens/s")


def _cpu(result: dict[str, Any]) -> str:
    here = result["machine"]
    kinds = {"amx": "AMX", "avx512_bf16": "AVX-512 BF16, no AMX", "other": "neither AMX nor AVX-512 BF16"}
    return f"{here['cpu']}, {here['cores']} cores, {kinds[machine.kind(here)]}"


def _file_name(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text).split())


def _replace(readme: Path, tables: str, first: str, last: str) -> int:
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        print(f"{readme} lacks the marks {first} and {last}; put them where the tables belong", file=sys.stderr)
        return 1
    readme.write_text(f"{before}{first}\n{tables}\n{last}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
