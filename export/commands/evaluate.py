"""`strizh evaluate BUNDLE --data DIR`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from strizh.runtime.bundle import Bundle
from strizh.runtime.commands.arguments import names, refuse_unknown
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
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder written by strizh export")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True,
                        help="a folder of .jsonl files, one object a line")  # fmt: skip
    parser.add_argument("--variants", metavar="A,B", type=names,
                        help="only these (default: all that run on this machine)")  # fmt: skip
    parser.add_argument("--baseline", metavar="CHECKPOINT",
                        help="compare with this checkpoint in PyTorch, extra 'trace' (default: its own float32)")  # fmt: skip
    parser.add_argument("--column", metavar="NAME", default="text", help="the side to read: text or en (default: text)")
    parser.add_argument("--tasks", metavar="A,B", type=names, default=[],
                        help="only files whose names contain one of these (default: all)")  # fmt: skip
    parser.add_argument("--limit", metavar="N", type=int, help="only the first rows of each file, for a quick look")
    parser.add_argument("--query-prompt", metavar="TEXT", help="before queries and pairs (default: the bundle's)")
    parser.add_argument("--passage-prompt", metavar="TEXT", help="before passages (default: the bundle's)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--store", action="store_true", help="keep the results in the bundle's manifest")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, store if asked."""
    from strizh.export.evaluate.find import find_tasks
    from strizh.export.evaluate.run import evaluate, prompts_for
    from strizh.export.evaluate.table import lines
    from strizh.export.manifest import add_figures

    bundle = Bundle(arguments.bundle)
    if arguments.limit is not None and arguments.limit < 2:
        raise UsageError(f"--limit is {arguments.limit}; expected at least 2 rows.")
    refuse_unknown(arguments.variants or (), bundle.manifest.variants)
    tasks = find_tasks(arguments.data, arguments.column, arguments.tasks, arguments.limit)
    results = evaluate(
        arguments.bundle,
        bundle.manifest,
        tasks,
        arguments.variants or _runnable(bundle),
        prompts_for(bundle.manifest, arguments.query_prompt, arguments.passage_prompt),
        arguments.baseline,
        step=lambda what: print(what, file=sys.stderr, flush=True),
        skip=not arguments.variants,
    )
    plain = {name: dataclasses.asdict(result) for name, result in results.items()}
    print(json.dumps(plain, ensure_ascii=False, indent=2) if arguments.json else "\n".join(lines(results)).rstrip())
    if arguments.store:
        try:
            add_figures(arguments.bundle, "evaluation", plain)
        except OSError as error:
            raise UsageError(
                f"the results above are not kept: {arguments.bundle} cannot be written ({error.strerror or error}). "
                "Copy the bundle to a place of yours, or leave --store out."
            ) from error
    return 0


def _runnable(bundle: Bundle) -> list[str]:
    """The variants that this machine runs."""
    from strizh.runtime import choose, host

    machine, manifest = host.probe(), bundle.manifest
    return [name for name, one in manifest.variants.items() if not choose.why_not(one, machine, manifest.engines)]
