"""`strizh bench`: how quick each variant of a bundle is on this machine, how close its vectors are, and which to take."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strizh.runtime.commands.arguments import names

if TYPE_CHECKING:
    from strizh.runtime.encoder import Encoder
    from strizh.runtime.measuring import Case

HELP = "measure a bundle's variants on this machine and recommend how to load it"
_QUIET = 1.15  # the quickest turn over the slowest, on a machine with nothing else to do


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="folder written by strizh export")
    parser.add_argument("--variants", metavar="A,B", type=names, help="only these (default: all that run here)")
    parser.add_argument("--threads", metavar="N", type=int, help="for all (default: the cores this process may use)")
    parser.add_argument("--seconds", metavar="S", type=float, default=0.5,
                        help="that each of the five turns takes (default: 0.5)")  # fmt: skip
    parser.add_argument("--least-cosine", metavar="C", type=float, default=0.999,
                        help="recommend no variant below it (default: 0.999)")  # fmt: skip
    parser.add_argument("--save-tuning", metavar="FILE", type=Path,
                        help="write the recommendation for strizh.load(BUNDLE, tuning=FILE)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures for a program")


def run(args: argparse.Namespace) -> int:
    from strizh.runtime.errors import DeviceError, UsageError
    from strizh.runtime.files.writers import check_place
    from strizh.runtime.measuring import cases, takers
    from strizh.runtime.tuning import tuning_for

    if not 0 < args.seconds < math.inf:
        raise UsageError(f"--seconds is {args.seconds:g}, expected a finite number above 0: what a turn takes")
    if math.isnan(args.least_cosine):
        raise UsageError("--least-cosine is nan, expected a number such as 0.999")
    if args.save_tuning:  # a measurement takes half a minute: that its result cannot be written has to be known before
        check_place("--save-tuning", args.save_tuning)
    with ExitStack() as stack:
        encoders, absent = _open(args, stack)
        first = next(iter(encoders.values()))
        found = cases(first)
        able, refused = zip(*(takers(encoders, case) for case in found), strict=True)
        absent += [line for lines in refused for line in lines]
        for line in absent:
            print(f"strizh: not measured: {line}", file=sys.stderr)
        if not able[-1]:
            raise DeviceError(f"no variant of this bundle runs texts of mixed lengths here: {'; '.join(absent)}")
        print(f"strizh: measuring {', '.join(encoders)}, then threads and batches", file=sys.stderr)
        rows = _rows(encoders, able, found, args.seconds)
    whole = [row for row in rows if row["tokens_per_second"] is not None]
    fit = [row for row in whole if row["cosine_min"] >= args.least_cosine]
    if not fit:
        closest = max(whole, key=lambda row: float(row["cosine_min"]))
        raise UsageError(
            f"no variant keeps a cosine of {args.least_cosine}: the closest, {closest['variant']}, has "
            f"{closest['cosine_min']:.6f}. Lower --least-cosine or export cpu-fp32"
        )
    best = max(fit, key=lambda row: row["tokens_per_second"])["variant"]
    tuning = tuning_for(Path(args.bundle), best, *_settings(args, best, first, found[-1]))
    report = {"variants": rows, "not_measured": absent, "recommended": {
        "variant": best, "threads": tuning.threads, "max_batch_tokens": tuning.max_batch_tokens,
    }}  # fmt: skip
    print(json.dumps(report, ensure_ascii=False, indent=2) if args.json else "\n".join(_page(report, found, args)))
    if args.save_tuning:
        tuning.write(args.save_tuning)
        print(f"strizh: wrote {args.save_tuning}, for strizh.load({args.bundle!r}, tuning={str(args.save_tuning)!r})",
              file=sys.stderr)  # fmt: skip
    return 0


def _open(args: argparse.Namespace, stack: ExitStack) -> tuple[dict[str, "Encoder"], list[str]]:
    """The variants that run here, and a line for each that does not."""
    from strizh.runtime.bundle import Bundle
    from strizh.runtime.encoder import load
    from strizh.runtime.errors import DeviceError

    wanted = args.variants or list(Bundle(args.bundle).manifest.variants)
    encoders, absent = {}, []
    for name in wanted:
        try:
            encoders[name] = stack.enter_context(load(args.bundle, variant=name, threads=args.threads))
        except DeviceError as error:
            absent.append(str(error))
    if not encoders:
        raise DeviceError(f"no variant of this bundle runs here: {'; '.join(absent)}")
    return encoders, absent


def _rows(
    encoders: dict[str, "Encoder"], able: Sequence[dict[str, "Encoder"]], found: Sequence["Case"], seconds: float
) -> list[dict[str, Any]]:
    """A row for each variant; None for a case that is not one of those that it is `able` to run."""
    from strizh.runtime.measuring import cosine_min, time_interleaved

    one, longer, mixed = (time_interleaved(some, case, seconds) for some, case in zip(able, found, strict=True))
    vectors = {name: encoder.encode_tokens(found[-1].batch) for name, encoder in able[-1].items()}
    exact = next((name for name in vectors if name.endswith("fp32")), None)
    tokens = len(found[-1].batch.input_ids)
    rows = []
    for name, encoder in encoders.items():
        row: dict[str, Any] = {
            "variant": name,
            "milliseconds_16": 1000 * one[name].seconds if name in one else None,
            "milliseconds_128": 1000 * longer[name].seconds if name in longer else None,
            "tokens_per_second": None,
            "tokens_per_second_range": None,
            "cosine_min": None,
            "cosine": f"to {exact}" if exact else "as recorded at export",
        }
        if speed := mixed.get(name):
            row["tokens_per_second"] = tokens / speed.seconds
            row["tokens_per_second_range"] = [tokens / speed.high, tokens / speed.low]
            row["cosine_min"] = cosine_min(vectors[name], vectors[exact]) if exact else _recorded(encoder)
        rows.append(row)
    return rows


def _recorded(encoder: "Encoder") -> float:
    """What the manifest says of a variant where the bundle has no float32 to compare with; 0 where it says nothing."""
    return float(encoder.manifest.parity.get(encoder.variant, {}).get("cosine_min", 0.0))


def _settings(args: argparse.Namespace, variant: str, first: "Encoder", mixed: "Case") -> tuple[int, int]:
    """Threads and batch tokens: the least of each that are as quick as the best."""
    from strizh.runtime.batching import DEFAULT_MAX_BATCH_TOKENS
    from strizh.runtime.encoder import Encoder
    from strizh.runtime.measuring import thriftiest

    threads, limit = first.threads, first.max_length
    if args.threads is None:
        counts = [*(count for count in (1, 2, 4, 8, 16, 32, 64, 128) if count < threads), threads]
        with ExitStack() as stack:
            by_threads = {n: stack.enter_context(Encoder(args.bundle, variant, threads=n)) for n in counts}
            threads = thriftiest(by_threads, mixed, args.seconds / 2)
    # A batch must hold the longest text that the bundle takes.
    sizes = [*(size for size in (512, 1024, 2048) if size >= limit), DEFAULT_MAX_BATCH_TOKENS]
    with ExitStack() as stack:
        by_tokens = {
            n: stack.enter_context(Encoder(args.bundle, variant, threads=threads, max_batch_tokens=n)) for n in sizes
        }
        return threads, thriftiest(by_tokens, mixed, args.seconds / 2)


def _page(report: dict[str, Any], found: Sequence["Case"], args: argparse.Namespace) -> list[str]:
    from strizh.runtime import processor
    from strizh.runtime.cores import usable_cores

    one, longer, mixed = (case.batch.lengths for case in found)
    lines = [["", f"{one[0]} tokens, ms", f"{longer[0]} tokens, ms", "mixed, tokens/s", "range", "cosine min"]]
    for row in report["variants"]:
        low, high = row["tokens_per_second_range"] or (None, None)
        lines.append([
            row["variant"],
            _shown(row["milliseconds_16"], ".2f"),
            _shown(row["milliseconds_128"], ".2f"),
            _shown(row["tokens_per_second"], ",.0f"),
            "-" if low is None else f"{low:,.0f}..{high:,.0f}",
            _shown(row["cosine_min"], ".6f"),
        ])  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    table = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    best = report["recommended"]
    return [
        f"{processor.name()}, {usable_cores()} usable cores; medians of five turns, the variants in turn",
        f"ms: one text; mixed: {len(mixed)} texts of {mixed.min()} to {mixed.max()} tokens in one call; of random words",
        f"cosine min: {report['variants'][0]['cosine']}, the worst text",
        "",
        *table,
        "",
        f"recommended: variant {best['variant']}, {best['threads']} thread{'s' if best['threads'] > 1 else ''}, "
        f"{best['max_batch_tokens']} tokens a batch",
        f"  the quickest on mixed texts of those with a cosine of {args.least_cosine:g} and more; the "
        f"{'fewest threads and ' if args.threads is None else ''}smallest batches within 3 % of its best",
        *_doubts(next(row for row in report["variants"] if row["variant"] == best["variant"])),
    ]


def _shown(figure: float | None, style: str) -> str:
    return "-" if figure is None else format(figure, style)


def _doubts(row: dict[str, Any]) -> list[str]:
    """A line where the turns differ so much that another program must have run beside them."""
    low, high = row["tokens_per_second_range"]
    if high <= _QUIET * low:
        return []
    return [f"  the machine was busy: turns of {row['variant']} differ by {high / low - 1:.0%}. Measure again when it is quiet"]
