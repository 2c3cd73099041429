"""Parity, then speed, on the GPU of this machine; on a CPU, with `--rehearse`, the same steps over emulated threads.

Every step is a process of its own with a limit of time: one that fails, crashes or hangs takes no results of others along,
and what it has measured itself is kept. Results are written after every step.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.plan import Step, plan
from benchmarks.gpu.report import SUITE
from benchmarks.machine import describe
from benchmarks.results import FORMAT


def main() -> int:
    """Measure, print, write. Status 1 where a step did not end well or a parity promise is missed."""
    arguments, started = _arguments(), time.monotonic()
    found: dict[str, Any] = {"format": FORMAT, "suite": SUITE, "machine": describe()}
    found |= {"parity": [], "absent": {}, "rows": [], "steps": []}
    for step in plan(rehearse=arguments.rehearse):
        left = arguments.seconds - (time.monotonic() - started)
        why = _reason_to_skip(step, found, arguments.library, left)
        seconds = left if arguments.rehearse else min(left, step.seconds)  # what a CPU takes says nothing
        outcome = f"skipped: {why}" if why else _run(step, arguments, found, seconds)
        print(f"-- {step.name}: {outcome}, {time.monotonic() - started:.0f} s since the start", flush=True)
        found["steps"].append({"step": step.name, "outcome": outcome})
        if "gpu" in found["machine"] and not arguments.rehearse:
            _write(found, arguments.results)
    return _verdict(found, arguments.rehearse)


def _reason_to_skip(step: Step, found: dict[str, Any], library: Path, left: float) -> str:
    if left < 5:
        return "the time is over"
    if step.operators and not library.exists():
        return "strizh's CUDA operators are not built"
    return str(found["absent"].get(step.needs, ""))


def _run(step: Step, arguments: argparse.Namespace, found: dict[str, Any], seconds: float) -> str:
    """How the step ended. What it has written by then is added to what was `found`."""
    print(f"-- {step.name}, {seconds:.0f} s at most", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "records"
        records.touch()
        command = [sys.executable, "-P", "-m", "benchmarks.gpu.step", step.name, "--records", str(records)]
        command += ["--library", str(arguments.library.absolute()), *(["--rehearse"] if arguments.rehearse else [])]
        with subprocess.Popen(command, start_new_session=True) as process:
            try:
                status = process.wait(seconds)
                outcome = "done" if status == 0 else f"FAILED: ended by signal {-status}" if status < 0 else "FAILED"
            except subprocess.TimeoutExpired:
                outcome = f"FAILED: stopped after {seconds:.0f} s"
            finally:  # with what it has started and left, such as compilers; also where this process is told to end
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return _collect(records, found) or outcome


def _collect(records: Path, found: dict[str, Any]) -> str:
    """Add what a step has written to what was `found`; how it says that it failed, if it does."""
    outcome, ceiling = "", found["machine"].get("ceiling_fp16")
    for line in records.read_text(encoding="utf-8").splitlines():
        try:
            kind, record = json.loads(line)
        except ValueError:  # the line that it died in
            continue
        if kind == "rows" and ceiling:
            record["share_of_ceiling"] = record["operations_per_second"] / ceiling
        if kind == "failed":
            outcome = f"FAILED: {record}"
        elif isinstance(found.setdefault(kind, {}), list):
            found[kind].append(record)
        else:
            found[kind] |= record
    return outcome


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, required=True, help="libstrizh_cuda.so, or its emulation")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--seconds", type=int, default=600, help="what all steps may take together")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, without a GPU")
    return parser.parse_args()


def _verdict(found: dict[str, Any], rehearse: bool) -> int:
    """Every figure in one table, what is missing from it, and the exit status."""
    for row in found["rows"]:
        share = f"{row['share_of_ceiling']:>8.1%} of the fp16 ceiling" if "share_of_ceiling" in row else ""
        rate = f"{row['ms']:>10.3f} ms{row['tokens_per_second']:>14,.0f} tokens/s"
        print(f"{row['model']:<10}{row['case']:<14}{row['contender']:<28}{rate}{share}")
    for name, why in found["absent"].items():
        print(f"not measured: {name}: {why}")
    undone = [f"{step['step']}: {step['outcome']}" for step in found["steps"] if step["outcome"] != "done"]
    for line in undone:
        print(f"not done: {line}")
    missed = [row for row in found["parity"] if not row["kept"]]
    for row in missed:
        why = row.get("error") or f"cosine {row['cosine_min']:.7f} at worst"
        print(f"MISSED: {row['family']}, {row['engine']}, {row['precision']}: {why}")
    failed = any("FAILED" in line or "time is over" in line or "not built" in line for line in undone)
    if rehearse and not (failed or missed):
        print("rehearsed: every step ran, the times above are a CPU's and mean nothing, nothing was written")
    return 1 if failed or missed or not found["parity"] else 0


def _write(found: dict[str, Any], folder: Path) -> None:
    """The file of this GPU and day; it is replaced at once, so that none is ever half a file."""
    name = found["machine"]["gpu"].lower().replace(" ", "-")
    path = folder / f"gpu-{name}-{time.strftime('%Y-%m-%d')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text(json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    half.replace(path)
    print(f"wrote {path}", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # so that its step ends too
    raise SystemExit(main())
