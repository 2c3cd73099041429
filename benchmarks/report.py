"""Results to plots and to the README's tables: `python benchmarks/report.py [RESULTS] [--readme README.md]`.

Every folder of `*.json` that `run.py --json` wrote, one a machine, gets its plots and a page with all its tables. The
tables that replace what stands between the marks in the project's README are therefore no older than their results; nor are
the tables of losses, of families and of GPUs, whose files `gpu/run.sh` writes.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a script, not imported
    # The root may not stay on the path: its folder `kernels` would be taken for the package that transformers looks for.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import benchmarks  # noqa: F401

    del sys.path[0]

from benchmarks import losses, machine, markdown, plots, results, suites
from benchmarks.errors import UnfitFile
from benchmarks.gpu import report as gpu
from benchmarks.suites import families

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
LOSSES_BEGIN, LOSSES_END = "<!-- losses: begin -->", "<!-- losses: end -->"
PAGE = "tables.md"
GPU_BEGIN, GPU_END = "<!-- gpu: begin -->", "<!-- gpu: end -->"
FAMILIES_BEGIN, FAMILIES_END = "<!-- families: begin -->", "<!-- families: end -->"


def main(argv: Sequence[str] | None = None) -> int:
    """Write plots and tables; 1 where the README has no marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=machine.ROOT / "benchmarks" / "results")
    parser.add_argument("--readme", type=Path, help="put the tables between the marks of this file")
    args = parser.parse_args(argv)
    if args.readme and not args.readme.is_file():
        parser.error(f"{args.readme} is no file; --readme wants the one with the marks that the tables belong between")
    try:
        found = {path: results.read(path) for path in sorted(args.results.rglob("*.json"))}
    except UnfitFile as error:
        parser.error(str(error))
    if not found:
        parser.error(
            f"{args.results} holds no results; measure with benchmarks/run.py SUITE --json {args.results}/SUITE.json"
        )
    readme = args.readme or args.results / "README.md"
    sections: dict[tuple[str, str], list[str]] = {}
    on_gpus = {path: found.pop(path) for path in list(found) if found[path]["suite"] == gpu.SUITE}
    if on_gpus:
        sources = {os.path.relpath(path, readme.parent): result for path, result in on_gpus.items()}
        sections[GPU_BEGIN, GPU_END] = [gpu.markdown(sources)]
    for folder in dict.fromkeys(path.parent for path in found):
        own = {result["suite"]: result for path, result in found.items() if path.parent == folder}
        drawn = _draw(folder, own)
        (folder / PAGE).write_text(_page(own, drawn), encoding="utf-8")
        at = os.path.relpath(folder, readme.parent)
        if {"quality", "parity"} <= own.keys():
            sections.setdefault((LOSSES_BEGIN, LOSSES_END), []).append(losses.markdown(own["quality"], own["parity"]))
        if "throughput" in own:
            text = markdown.throughput(own["throughput"], f"{at}/throughput.json")
            images = "\n".join(f"![{name}]({at}/{name})" for name in drawn)
            sections.setdefault((BEGIN, END), []).append(f"{text}\n\n{images}\n\nEvery suite: [{at}]({at}/{PAGE}).")
    by_family = {str(path): result for path, result in found.items() if result["suite"] == "families"}
    if by_family:
        sections[FAMILIES_BEGIN, FAMILIES_END] = [families.markdown(by_family)]
    if args.readme is None:
        print("\n\n".join(text for texts in sections.values() for text in texts))
        return 0
    return max(_replace(args.readme, "\n\n".join(texts), *marks) for marks, texts in sections.items())


def _draw(folder: Path, own: dict[str, dict[str, Any]]) -> list[str]:
    """Write the plots of a machine; gives their names."""
    drawn = list(plots.draw(own))
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, plot in drawn:
        (folder / f"{name}.svg").write_text(plot, encoding="utf-8")
    return [f"{name}.svg" for name, _ in drawn]


def _page(own: dict[str, dict[str, Any]], drawn: Sequence[str]) -> str:
    """Everything that was measured on a machine, as the commands print it."""
    parts = ["# Results on one machine", *(f"![{name}]({name})" for name in drawn)]
    for name, result in own.items():
        parts.append(f"## {name}: {suites.load(name).HELP}\n\n```\n{suites.printed(name, result)}\n```")
    return "\n\n".join(parts) + "\n"


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
