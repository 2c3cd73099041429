"""`strizh evaluate BUNDLE --data DIR`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from strizh.runtime.bundle import MANIFEST, Bundle
from strizh.runtime.errors import UsageError

HELP = "measure a bundle's variants on labelled texts, beside its float32"
_KEYS = """\
A file's task shows in the keys of its rows:
  text, text2, score          similarity of pairs: Spearman's correlation
  text, text2, label (0, 1)   paraphrases: average precision of the cosine
  text, label                 classification by a linear probe; split = "test" marks the rows to test
  text, ctx                   questions, whose ctx counts the rows of a file named paragraphs instead of questions
  query_ru, text              titles and the documents they should find
  text, en                    translations that should find each other
Differences to the baseline come with 95 % intervals of the paired bootstrap."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `strizh evaluate`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _KEYS
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--data", type=Path, required=True, help="a folder of .jsonl files, one object a line")
    parser.add_argument("--variants", help="comma-separated; default all that run on this machine")
    parser.add_argument(
        "--baseline", metavar="CHECKPOINT", help="compare with this checkpoint in PyTorch (extra 'trace')"
    )
    parser.add_argument("--column", default="text", help="the side to read, text (default) or en")
    parser.add_argument("--tasks", help="comma-separated parts of file names; default all files")
    parser.add_argument("--limit", type=int, help="only the first rows of each file, for a quick look")
    parser.add_argument("--query-prompt", help="before queries and pairs, where the bundle has no such prompt")
    parser.add_argument("--passage-prompt", help="before passages, where the bundle has no such prompt")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--store", action="store_true", help="keep the results in the bundle's manifest")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, store if asked."""
    from strizh.export.evaluate.find import find_tasks
    from strizh.export.evaluate.run import evaluate, prompts_for
    from strizh.export.evaluate.table import lines

    bundle = Bundle(arguments.bundle)
    if arguments.limit is not None and arguments.limit < 2:
        raise UsageError(f"--limit is {arguments.limit}; expected at least 2 rows.")
    tasks = find_tasks(arguments.data, arguments.column, _names(arguments.tasks), arguments.limit)
    results = evaluate(
        arguments.bundle,
        bundle.manifest,
        tasks,
        _variants(bundle, arguments.variants),
        prompts_for(bundle.manifest, arguments.query_prompt, arguments.passage_prompt),
        arguments.baseline,
        step=lambda what: print(what, file=sys.stderr, flush=True),
        skip=not arguments.variants,
    )
    plain = {name: dataclasses.asdict(result) for name, result in results.items()}
    if arguments.store:
        _store(bundle, plain)
    print(json.dumps(plain, ensure_ascii=False, indent=2) if arguments.json else "\n".join(lines(results)).rstrip())
    return 0


def _names(listed: str | None) -> list[str]:
    return [name.strip() for name in listed.split(",")] if listed else []


def _variants(bundle: Bundle, listed: str | None) -> list[str]:
    from strizh.runtime import choose, host

    if listed:
        return _names(listed)
    machine, manifest = host.probe(), bundle.manifest
    return [name for name, one in manifest.variants.items() if not choose.why_not(one, machine, manifest.engines)]


def _store(bundle: Bundle, results: dict[str, Any]) -> None:
    parity = bundle.manifest.parity
    stored = parity | {name: parity.get(name, {}) | {"evaluation": result} for name, result in results.items()}
    manifest = dataclasses.replace(bundle.manifest, parity=stored)
    (bundle.folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
