"""Results to plots, pages and the README's tables: `python benchmarks/report.py [RESULTS] [--readme README.md]`.

Every folder of `*.json` that `run.py --json` wrote, one a machine, gets its plots, a page with its tables and one with every
suite as it was printed. What the README has between its marks is a summary of them, the table of families, and the tables of
GPUs, whose files `gpu/run.sh` writes. A test (`tests/benchmarks/test_report.py`) fails where one of them is older than its
results.
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

from benchmarks import headlines, losses, machine, markdown, plots, results, suites
from benchmarks.errors import UnfitFile
from benchmarks.gpu import report as gpu
from benchmarks.suites import families

PAGE, TABLES = "README.md", "tables.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
LOSSES_BEGIN, LOSSES_END = "<!-- losses: begin -->", "<!-- losses: end -->"
GPU_BEGIN, GPU_END = "<!-- gpu: begin -->", "<!-- gpu: end -->"
FAMILIES_BEGIN, FAMILIES_END = "<!-- families: begin -->", "<!-- families: end -->"
Sections = dict[tuple[str, str], list[str]]  # marks -> what belongs between them


def main(argv: Sequence[str] | None = None) -> int:
    """Write plots and tables; without a README its sections are printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=machine.ROOT / "benchmarks" / "results")
    parser.add_argument("--readme", type=Path, help="put the tables between the marks of this file")
    args = parser.parse_args(argv)
    if args.readme and not args.readme.is_file():
        parser.error(f"{args.readme} is no file; --readme wants the one with the marks that the tables belong between")
    try:
        pages, sections = read(args.results, (args.readme or args.results / PAGE).parent)
        if args.readme:
            pages[args.readme] = filled(args.readme, sections)
    except UnfitFile as error:
        parser.error(str(error))
    for folder in {path.parent for path in pages if path.suffix == ".svg"}:
        for old in folder.glob("*.svg"):
            old.unlink()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    if not args.readme:
        print("\n\n".join(text for texts in sections.values() for text in texts))
    return 0


def read(root: Path, home: Path) -> tuple[dict[Path, str], Sections]:
    """All that follows from the results in a folder: files, by their paths, and the sections of a README that lies in `home`.

    Raises `UnfitFile` for a file that is no result, and where there is none.
    """
    found = {path: results.read(path) for path in sorted(root.rglob("*.json"))}
    if not found:
        raise UnfitFile(f"{root} holds no results; measure with benchmarks/run.py SUITE --json {root}/SUITE.json")
    pages: dict[Path, str] = {}
    sections: Sections = {}
    on_gpus = {path: found.pop(path) for path in list(found) if found[path]["suite"] == gpu.SUITE}
    if on_gpus:
        sources = {os.path.relpath(path, home): result for path, result in on_gpus.items()}
        sections[GPU_BEGIN, GPU_END] = [gpu.markdown(sources)]
    for folder in dict.fromkeys(path.parent for path in found):
        own = {result["suite"]: result for path, result in found.items() if path.parent == folder}
        drawn = dict(plots.draw(own))
        pages |= {folder / f"{name}.svg": plot for name, plot in drawn.items()}
        pages |= {folder / PAGE: _page(own, list(drawn)), folder / TABLES: _printed(own)}
        at = os.path.relpath(folder, home)
        if {"quality", "parity"} <= own.keys():
            text = f"{headlines.quality(own['quality'], own['parity'])}\n\nEvery engine: [{at}]({at}/{PAGE}#quality)."
            sections.setdefault((LOSSES_BEGIN, LOSSES_END), []).append(text)
        if "throughput" in own:
            sections.setdefault((BEGIN, END), []).append(_summary(own["throughput"], list(drawn), at))
    by_family = {str(path): result for path, result in found.items() if result["suite"] == "families"}
    if by_family:
        sections[FAMILIES_BEGIN, FAMILIES_END] = [families.markdown(by_family)]
    return pages, sections


def filled(readme: Path, sections: Sections) -> str:
    """The README's text with the sections between their marks. Raises `UnfitFile` where it lacks them."""
    text = readme.read_text(encoding="utf-8")
    for (first, last), texts in sections.items():
        before, begin, rest = text.partition(first)
        _, end, after = rest.partition(last)
        if not begin or not end:
            raise UnfitFile(f"{readme} lacks the marks {first} and {last}; put them where the tables belong")
        text = "\n".join([before + first, "\n\n".join(texts), last + after])
    return text


def _summary(throughput: dict[str, Any], drawn: Sequence[str], at: str) -> str:
    """What the README says of a machine's speed."""
    shown = [f"![{name}]({at}/{name}.svg)" for name in _one_of_each_kind(drawn)]
    parts = [f"**{markdown.cpu(throughput)}**", headlines.speed(throughput), headlines.shortfalls(throughput)]
    where = f"Every engine and suite, the runs and their commits, all goals and plots: [{at}]({at}/{PAGE})."
    return "\n\n".join([*parts, " ".join(shown), where])


def _one_of_each_kind(drawn: Sequence[str]) -> list[str]:
    """Of plots named MODEL-KIND one of each kind: of the model base, where it has one."""
    kinds: dict[str, str] = {}
    for name in drawn:
        model, _, kind = name.rpartition("-")
        if model == "base" or kind not in kinds:
            kinds[kind] = name
    return list(kinds.values())


def _page(own: dict[str, dict[str, Any]], drawn: Sequence[str]) -> str:
    """The page of a machine: what a reader compares."""
    parts = ["# Results on one machine", f"Every suite as its command prints it: [{TABLES}]({TABLES})."]
    if "throughput" in own:
        parts += ["## Speed", markdown.throughput(own["throughput"], "throughput.json")]
    if {"quality", "parity"} <= own.keys():
        parts += ["## Quality", losses.markdown(own["quality"], own["parity"])]
    if drawn:
        parts += ["## Plots", "\n".join(f"![{name}]({name}.svg)" for name in drawn)]
    return "\n\n".join(parts) + "\n"


def _printed(own: dict[str, dict[str, Any]]) -> str:
    """Everything that was measured on a machine, as the commands print it."""
    parts = ["# Every suite on one machine, as its command prints it"]
    for name, result in own.items():
        parts.append(f"## {name}: {suites.load(name).HELP}\n\n```\n{suites.printed(name, result)}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
