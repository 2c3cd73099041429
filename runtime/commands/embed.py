"""`strizh embed`: a file of texts becomes a file of vectors, in constant memory; an interrupted run is continued."""

import argparse
import hashlib
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strizh.runtime.errors import BundleError, TextError, UsageError

if TYPE_CHECKING:
    from strizh.runtime.encoder import Encoder
    from strizh.runtime.files.readers import Row, Source
    from strizh.runtime.files.stage import Stage

HELP = "embed a file of texts; run it again to continue after an interruption"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="folder written by strizh export")
    parser.add_argument("input", metavar="INPUT", nargs="?", default="-",
                        help=".txt, .jsonl, .csv or .parquet; - (the default) reads a text a line from standard input")
    parser.add_argument("-o", "--output", metavar="OUTPUT", required=True, help=".npy, .jsonl or .parquet")
    parser.add_argument("--variant", default="auto", help="graph to run (default: auto, see strizh doctor BUNDLE)")
    prompts = parser.add_mutually_exclusive_group()
    prompts.add_argument("--prompt-name", metavar="NAME", help="one of the bundle's prompts")
    prompts.add_argument("--prompt", metavar="TEXT", help="text to put in front of each text; '' for none")
    parser.add_argument("--normalize", action=argparse.BooleanOptionalAction, default=None,
                        help="scale vectors to length 1 or leave them (default: as the bundle says)")
    parser.add_argument("--truncate-dim", metavar="N", type=int, help="keep the first N numbers of each vector")
    parser.add_argument("--precision", choices=("float32", "int8", "uint8", "binary", "ubinary"), default="float32",
                        help="numbers of the vectors (default: float32); binary packs the signs of 8 dimensions a byte")
    parser.add_argument("--calibration", metavar="VECTORS.npy",
                        help="float32 vectors of a sample, whose ranges int8 and uint8 take: an earlier output of this command")
    parser.add_argument("--overflow", choices=("warn", "error", "split"), default="warn",
                        help="texts above the limit: cut and count them, stop, or pool over windows (default: warn)")
    parser.add_argument("--column", metavar="NAME",
                        help="column or key that holds the text (default: text, or the only one)")
    parser.add_argument("--max-batch-tokens", metavar="N", type=int, help="ceiling of a batch, and so of memory")
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: the cores this process may use)")
    parser.add_argument("--force", action="store_true", help="replace the output, and begin an interrupted run again")


def run(args: argparse.Namespace) -> int:
    from strizh.runtime.encoder import load
    from strizh.runtime.files.readers import open_texts
    from strizh.runtime.files.stage import Stage
    from strizh.runtime.files.writers import check_output, writer_for
    from strizh.runtime.precision import Quantizer

    check_output(args.output, args.input)
    source = open_texts(args.input, args.column)
    limits = {} if args.max_batch_tokens is None else {"max_batch_tokens": args.max_batch_tokens}
    with load(args.bundle, variant=args.variant, threads=args.threads, **limits) as encoder:
        sample = _read_calibration(args.calibration)
        quantizer = Quantizer(args.precision, args.truncate_dim or encoder.dimension, sample)
        if not quantizer.calibrated:
            raise UsageError(
                f"--precision {args.precision} needs --calibration VECTORS.npy: vectors of a sample of such texts, which this "
                "command makes without --precision"
            )
        if sample is not None and not quantizer.needs_ranges:
            raise UsageError(f"--calibration is for --precision int8 and uint8, not {args.precision}. Leave it out")
        writer = writer_for(args.output, quantizer.width, quantizer.dtype)
        stage = Stage(Path(args.output), writer, _made_with(args, encoder), args.force)
        before = stage.progress.texts
        if before:
            print(f"strizh: continuing after {before:,} texts", file=sys.stderr)
        try:
            if not stage.progress.complete:
                _embed(encoder, source, stage, args, sample)
            stage.publish()
        except TextError as error:
            raise UsageError(f"{source.name}: text {before + error.index + 1:,} {error.problem}") from None
        except KeyboardInterrupt:
            print(f"\nstrizh: {stage.progress.texts:,} texts are kept; the same command continues", file=sys.stderr)
            raise
        _report(stage, args.output, encoder.max_length, args.overflow)
    return 0


def _read_calibration(path: str | None) -> Any:
    """The array of a .npy file, or None."""
    if path is None:
        return None
    import zipfile

    import numpy as np

    try:
        sample = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile):
        sample = None
    if not isinstance(sample, np.ndarray):
        raise UsageError(f"--calibration {path} is no .npy file of one array. Make one with strizh embed")
    return sample


def _embed(
    encoder: "Encoder", source: "Source", stage: "Stage", args: argparse.Namespace, calibration_embeddings: Any
) -> None:
    """Feed the rows through the encoder's stream; each window of vectors goes to the stage with its texts."""
    import numpy as np

    pending: deque[Row] = deque()

    def texts() -> Iterator[str]:
        for row in stage.skip(source.rows):
            pending.append(row)
            yield row.text

    windows = encoder.encode_stream(
        texts(), prompt_name=args.prompt_name, prompt=args.prompt, normalize_embeddings=args.normalize,
        truncate_dim=args.truncate_dim, overflow=args.overflow, precision=args.precision,
        calibration_embeddings=calibration_embeddings,
    )  # fmt: skip
    with _Bar(source) as bar:
        for window in windows:
            if not np.isfinite(window.embeddings).all():
                raise BundleError(f"variant {encoder.variant} gives numbers that are not finite; see strizh verify")
            rows = [pending.popleft() for _ in window.embeddings]
            stage.append(
                [row.text for row in rows], window.embeddings, tokens=window.tokens, truncated=window.truncated
            )
            bar.show(rows[-1].position, len(rows), window.tokens)


class _Bar:
    """Progress through the source, with the speed of this run. Silent where standard error is no terminal."""

    def __init__(self, source: "Source") -> None:
        from tqdm import tqdm

        known = "{percentage:3.0f}% |{bar}| {postfix} [{elapsed}<{remaining}]"
        layout = "{desc}: " + (known if source.total else "{postfix} [{elapsed}]")
        self._bar = tqdm(total=source.total, desc=source.name, leave=False, disable=None, miniters=1, bar_format=layout)
        self._began = time.perf_counter()
        self._texts = self._tokens = 0

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def show(self, position: int, texts: int, tokens: int) -> None:
        self._texts += texts
        self._tokens += tokens
        seconds = max(time.perf_counter() - self._began, 1e-9)
        speed = f"{self._texts / seconds:,.0f} texts/s, {self._tokens / seconds:,.0f} tokens/s"
        self._bar.set_postfix_str(speed, refresh=False)
        self._bar.update(position - self._bar.n)


def _made_with(args: argparse.Namespace, encoder: "Encoder") -> dict[str, str]:
    """All that changes a vector, by the name of its flag. The texts themselves are the stage's to compare."""
    import strizh

    manifest = (Path(args.bundle) / "strizh.json").read_bytes()  # holds the hash of every other file
    settings: dict[str, Any] = {
        "strizh": strizh.__version__,
        "bundle": hashlib.sha256(manifest).hexdigest(),
        "--variant": encoder.variant,
        "--prompt-name": args.prompt_name,
        "--prompt": args.prompt,
        "--normalize": args.normalize,
        "--truncate-dim": args.truncate_dim,
        "--precision": None if args.precision == "float32" else args.precision,
        "--calibration": args.calibration and hashlib.sha256(Path(args.calibration).read_bytes()).hexdigest(),
        "--overflow": args.overflow,
        "--max-batch-tokens": args.max_batch_tokens,
    }
    return {name: "the default" if value is None else repr(value) for name, value in settings.items()}


def _report(stage: "Stage", output: str, max_length: int, overflow: str) -> None:
    done = stage.progress
    print(f"{output}: {done.texts:,} text{'s' * (done.texts != 1)}, {done.tokens:,} tokens", file=sys.stderr)
    if done.truncated:
        what = "were pooled over windows" if overflow == "split" else "were cut; --overflow split pools over windows"
        print(f"strizh: warning: {done.truncated:,} texts longer than {max_length} tokens {what}", file=sys.stderr)
