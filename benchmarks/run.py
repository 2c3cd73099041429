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
from benchmarks.engines import UnknownName
from benchmarks.rounds import Method
from benchmarks.suites import Settings
from strizh.runtime.cores import usable_cores
from strizh.runtime.errors import Error


def main(argv: Sequence[str] | None = None) -> int:
    """Run one suite, print its tables, write its JSON; 1 if a row misses its promise or failed."""
    parser = _parser()
    args = parser.parse_args(argv)
    suite = suites.load(args.suite)
    try:
        settled = results.read(args.settled)["rows"] if args.settled else ()
        if args.json:
            results.check_fits(args.json, args.suite, machine.describe(), args.threads)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    settings = Settings(
        models=tuple(args.models.split(",")) if args.models else suite.MODELS,
        engines=tuple(args.engines.split(",")) if args.engines else (),
        cases=tuple(args.cases.split(",")) if args.cases else (),
        threads=args.threads,
        method=Method(
            rounds=args.rounds,
            seconds=args.seconds,
            deadline=time.perf_counter() + args.limit,
            allow_noise=args.allow_noise,
        ),
        settled=settled,
        texts=args.texts,
        batches=args.batches,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    try:
        result = suite.run(settings)
    except (FileNotFoundError, UnknownName, Error) as error:
        parser.error(str(error))
    print(suites.printed(args.suite, result))
    if args.json:
        results.update({"suite": args.suite, **result}, args.json)
    for line in result["failures"]:
        print(f"FAIL: {line}")
    return 1 if result["failures"] else 0


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
    parser.add_argument("--threads", type=int, default=usable_cores(), help="for every engine (default: all cores)")
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="least time of a turn")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which no turn begins")
    parser.add_argument("--settled", type=Path, help="a result whose files and batch sizes are taken, not tried anew")
    parser.add_argument("--batches", type=int, default=10_000, help="of the memory suite (default: %(default)s)")
    parser.add_argument(
        "--json", type=Path, help="write the result here; cases that stand there and are not measured stay"
    )
    parser.add_argument("--allow-noise", action="store_true", help="count rounds on a busy machine: to try the harness")
    return parser


if __name__ == "__main__":
    sys.exit(main())
