"""Two commits interleaved on this machine: `python benchmarks/compare.py BASE HEAD [--models …] [--variants …]`.

Each commit is installed into an environment of its own and exports its own bundles; the harness is this working tree's.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:  # run as a script, not imported
    # The root may not stay on the path: its folder `kernels` would be taken for the package that transformers looks for.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import benchmarks  # noqa: F401

    del sys.path[0]

from benchmarks import environments, machine, models, tables
from benchmarks.engines import Batch, Configuration
from benchmarks.errors import UnknownName
from benchmarks.rounds import Entry, Method, measure
from benchmarks.summary import speedups
from benchmarks.workers import EngineError, Worker
from benchmarks.workloads import Case, equal, ragged
from strizh.kernels.reference import normalize
from strizh.runtime.cores import usable_cores

CASES = (equal(16, 128), ragged(), equal(1, 16, "ms"), equal(1, 128, "ms"))


def main(argv: Sequence[str] | None = None) -> int:
    """Print how many times as fast HEAD is, round by round; 1 if a variant became slower beyond --allowed."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        commits = {_short(commit): commit for commit in (args.base, args.head)}
        chosen = models.find_all(args.models.split(","))
    except UnknownName as error:
        parser.error(str(error))
    if len(commits) < 2:
        parser.error(f"{args.base} and {args.head} are the same commit: nothing to compare")
    for short, commit in commits.items():
        _install(short, commit)
    print("\n".join(machine.header(machine.describe())))
    slower = False
    for model in chosen:
        lines = list(_compare(model, list(commits), args))
        verdicts = [line.pop("slower") for line in lines]
        slower |= any(verdicts)
        heads = (
            f"{model.name}: {args.head} over {args.base}",
            "case",
            "speed-up",
            "range of rounds",
            "cosine of the two",
        )
        print("\n" + tables.table(heads, [tuple(line.values()) for line in lines]))
    return 1 if slower else 0


def _compare(model: models.Model, commits: list[str], args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    method = Method(rounds=args.rounds, seconds=args.seconds, allow_noise=args.allow_noise)
    texts = {case.name: Batch(case.token_ids(model.vocab_size)) for case in CASES if max(case.lengths) <= model.longest}
    for variant in args.variants.split(","):
        workers: list[Worker] = []
        try:
            for commit in commits:
                workers.append(_open(model, commit, variant, args.threads))
            entries = {
                case.name: [Entry(worker, case, None) for worker in workers] for case in CASES if case.name in texts
            }
            flat = [entry for pair in entries.values() for entry in pair]
            measure(flat, lambda case: texts[case.name], method, lambda line: print(line, file=sys.stderr))
            for name, (base, head) in entries.items():
                yield _line(variant, base, head, _cosine(workers, texts[name]), args.allowed)
        except EngineError as error:
            yield {"variant": variant, "case": str(error), "median": "-", "range": "-", "cosine": "-", "slower": False}
        finally:
            for worker in workers:
                worker.close()


def _open(model: models.Model, commit: str, variant: str, threads: int) -> Worker:
    own = replace(model, folder=model.folder / f"commit-{commit}")
    environment = f"commit-{commit}"
    configuration = Configuration(f"strizh {variant}", "strizh", "fp32", {"variant": variant})
    own.ensure(f"bundle.{variant}", threads, environment)
    worker = Worker(environment, threads)
    try:
        worker.open(configuration, own.describe(), threads)
    except EngineError:
        worker.close()
        raise
    return worker


def _line(variant: str, base: Entry, head: Entry, cosine: float, allowed: float) -> dict[str, Any]:
    ratios = speedups({"rounds": head.rounds}, {"rounds": base.rounds}) if head.rounds and base.rounds else []
    case: Case = base.case
    if not ratios:
        return {
            "variant": variant,
            "case": case.name,
            "median": "no quiet round",
            "range": "",
            "cosine": "",
            "slower": False,
        }
    return {
        "variant": variant,
        "case": case.name,
        "median": f"{median(ratios):.3f}",
        "range": f"{min(ratios):.3f}..{max(ratios):.3f}",
        "cosine": f"{cosine:.7f}",
        "slower": median(ratios) < 1 - allowed,
    }


def _cosine(workers: Sequence[Worker], texts: Batch) -> float:
    vectors = []
    for worker in workers:
        worker.load(texts)
        vectors.append(normalize(worker.vectors(None)))
    return float((vectors[0] * vectors[1]).sum(axis=1).min())


def _short(commit: str) -> str:
    command = ["git", "-C", str(machine.ROOT), "rev-parse", "--short", f"{commit}^{{commit}}"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    if answer.returncode:
        raise UnknownName(f"{commit} is no commit of this repository")
    return answer.stdout.strip()


def _install(short: str, commit: str) -> None:
    """A commit's strizh in an environment that sees every other package of this one."""
    name = f"commit-{short}"
    if environments.python(name):
        return
    folder = environments.HOME / "environments" / name
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    python = folder / "bin" / "python"
    with tempfile.TemporaryDirectory() as sources:
        archive = subprocess.run(["git", "-C", str(machine.ROOT), "archive", commit], check=True, capture_output=True)
        subprocess.run(["tar", "-x", "-C", sources], input=archive.stdout, check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", sources], check=True)
    environments.see(folder, "{}")
    (folder / "complete").touch()


def _parser() -> argparse.ArgumentParser:
    usual = Method()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("head")
    parser.add_argument("--models", default="mini,base")
    parser.add_argument("--variants", default="cpu-bf16,cpu-fp32")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--seconds", type=float, default=usual.seconds)
    parser.add_argument(
        "--allowed", type=float, default=0.03, help="slower by this share is no regression (default: %(default)s)"
    )
    parser.add_argument("--allow-noise", action="store_true", help="count rounds on a busy machine: to try the command")
    return parser


if __name__ == "__main__":
    sys.exit(main())
