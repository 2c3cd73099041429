"""Measure strizh beside its peers on this machine: `python benchmarks/run.py SUITE [--json OUT]`."""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a script, not imported
    # The root may not stay on the path: its folder `kernels` would be taken for the package that transformers looks for.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import benchmarks  # noqa: F401

    del sys.path[0]

from benchmarks import machine, results, suites
from benchmarks.errors import BenchmarkError, UnfitFile, UnfitOption
from benchmarks.rounds import Method
from benchmarks.suites import Settings
from strizh.runtime.cores import usable_cores
from strizh.runtime.errors import Error

_BATCHES = 10_000  # of the memory suite


def main(argv: Sequence[str] | None = None) -> int:
    """Run one suite, print its tables, write its JSON; 1 if a row misses its promise or failed, 2 for a wrong command."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        result = suites.load(args.suite).run(_settings(args))
    except (BenchmarkError, Error) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print(suites.printed(args.suite, result))
    if args.json:
        results.update({"suite": args.suite, **result}, args.json)
    for line in result["failures"]:
        print(f"FAIL: {line}")
    return 1 if result["failures"] else 0


def _settings(args: argparse.Namespace) -> Settings:
    """What the command line said; raises `BenchmarkError` for what does not fit the suite, before anything is measured."""
    suite, here = suites.load(args.suite), machine.describe()
    for option in suites.OPTIONS:
        if getattr(args, option) is not None and option not in suite.HEEDS:
            known = ", ".join(f"--{name}" for name in ("models", *suite.HEEDS))
            raise UnfitOption(f"{args.suite} has no use for --{option}; besides those of every suite it heeds {known}")
    for option, least in (("threads", 1), ("rounds", 0), ("seconds", 0), ("limit", 0), ("batches", 1)):
        given = getattr(args, option)
        if given is not None and not given >= least:
            raise UnfitOption(f"--{option} is {given:g}, expected {least} or more")
    if args.texts and not args.texts.is_dir():
        raise UnfitFile(
            f"{args.texts} is no folder; --texts wants one with .jsonl files, an object with `text` on each line"
        )
    if args.json:
        results.check_fits(args.json, args.suite, here, args.threads)
    return Settings(
        models=_names(args.models) or suite.MODELS,
        engines=_names(args.engines),
        cases=_names(args.cases),
        threads=args.threads,
        method=Method(
            rounds=args.rounds,
            seconds=args.seconds,
            deadline=time.perf_counter() + args.limit,
            allow_noise=args.allow_noise,
        ),
        settled=results.settled(args.settled, here, args.threads) if args.settled else (),
        texts=args.texts,
        column=args.column or "text",
        batches=_BATCHES if args.batches is None else args.batches,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(given.split(",")) if given else ()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = Method()
    lines = "\n".join(f"  {name}: {suites.load(name).HELP}" for name in suites.names())
    parser.epilog = f"suites:\n{lines}"
    parser.add_argument("suite", choices=suites.names())
    parser.add_argument("--models", help="geometries and checkpoint folders, with commas between")
    parser.add_argument(
        "--engines", help='names, with commas between and * for anything: "strizh*,openvino int8 (portable*"'
    )
    parser.add_argument(
        "--cases", help='of suites that have some, with commas between and *: "ragged*,1x16"; quality: tasks'
    )
    parser.add_argument("--texts", type=Path, help="folder of jsonl with real texts; ours without it")
    parser.add_argument(
        "--column", help="quality, parity: the side of the texts that is read, `en` for English (default: text)"
    )
    parser.add_argument("--threads", type=int, default=usable_cores(), help="for every engine (default: all cores)")
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="least time of a turn")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which no turn begins")
    parser.add_argument("--settled", type=Path, help="a result whose files and batch sizes are taken, not tried anew")
    parser.add_argument("--batches", type=int, help=f"of the memory suite (default: {_BATCHES})")
    parser.add_argument(
        "--json", type=Path, help="write the result here; cases that stand there and are not measured stay"
    )
    parser.add_argument("--allow-noise", action="store_true", help="count rounds on a busy machine: to try the harness")
    return parser


if __name__ == "__main__":
    sys.exit(main())
