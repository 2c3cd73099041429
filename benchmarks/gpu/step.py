"""One step of the GPU benchmark. Every record is printed, and appended to a file, as it comes."""

import argparse
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import varlen
from benchmarks.gpu.specs import TIMED, bert, random_weights, rope_bert
from benchmarks.gpu.speed import BATCHES, LATENCY, Contest, row
from benchmarks.gpu.timing import matrix_rate
from benchmarks.gpu.versions import driver, versions
from strizh.kernels.native_cuda import CudaKernels

# What a record belongs to, a key of the results, and the record.
Record = tuple[str, dict[str, Any]]


def main() -> int:
    """Status 1 where the step fails; the reason is its last record."""
    arguments = _arguments()
    with arguments.records.open("a", encoding="utf-8") as file, torch.inference_mode():
        try:
            for kind, record in _step(arguments):
                file.write(json.dumps([kind, record], ensure_ascii=False) + "\n")
                file.flush()
                print(_line(kind, record), flush=True)
        except Exception as error:  # whatever a driver, a compiler or a peer may raise
            traceback.print_exc()
            file.write(json.dumps(["failed", " ".join(f"{type(error).__name__}: {error}".split())[:300]]) + "\n")
            return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", help="one of plan.py's")
    parser.add_argument("--records", type=Path, required=True, help="the file to append to")
    parser.add_argument("--library", type=Path, required=True, help="libstrizh_cuda.so, or its emulation")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, without a GPU")
    return parser.parse_args()


def _step(arguments: argparse.Namespace) -> Iterator[Record]:
    part, _, what = arguments.step.partition("/")
    device = "cpu" if arguments.rehearse else "cuda"
    if part == "machine":
        return _machine(device)
    if part == "parity":
        return _parity(what, arguments.library, device)
    return _speed(part, what, arguments.library, device)


def _machine(device: str) -> Iterator[Record]:
    """The GPU, the rate that shares are of, and what is to be measured beside and this machine lacks."""
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        yield "machine", {
            "gpu": gpu.name, "capability": f"{gpu.major}.{gpu.minor}", "multiprocessors": gpu.multi_processor_count,
            "memory_gib": round(gpu.total_memory / 2**30), "driver": driver(), "versions": versions(),
        }  # fmt: skip
    yield "machine", {"ceiling_fp16": matrix_rate(device, torch.float16)}
    for name in ("torch varlen_attn", "flash_attn varlen"):
        if why := varlen.absent(name):
            yield "absent", {name: why}
    try:
        from benchmarks.gpu import onnxruntime, tensorrt
    except ImportError as error:
        yield "absent", dict.fromkeys(("onnxruntime", "tensorrt"), str(error))
        return
    if why := onnxruntime.absent(device):
        yield "absent", {"onnxruntime": why}
    if why := tensorrt.absent(device):
        yield "absent", {"tensorrt": why}


def _parity(engine: str, library: Path, device: str) -> Iterator[Record]:
    """The kernels on torch's buffers, or the same behind ONNX Runtime, for every family and precision."""
    from benchmarks.gpu import parity

    kernels = CudaKernels(library) if engine == "kernels" else None
    for case in parity.cases(device):
        if kernels:
            yield from (("parity", row) for row in parity.check(case, kernels, device))
        else:
            from benchmarks.gpu import onnxruntime

            yield from (("parity", row) for row in onnxruntime.check(case, library, device))


def _speed(model: str, side: str, library: Path, device: str) -> Iterator[Record]:
    """Every figure of one shape of model and one kind of contender."""
    rehearsed = device == "cpu"
    spec = rope_bert(bert(1, 64, 2, 128, vocabulary=500)) if rehearsed else TIMED[model]
    singles = (16, 70) if rehearsed else LATENCY
    batches: dict[str, tuple[int, ...]] = {"3 ragged": (3, 40, 17)} if rehearsed else BATCHES
    weights, cases = random_weights(spec), {f"1 x {length}": (length,) for length in singles} | batches
    if side in ("kernels", "peers"):
        contest = Contest(model, spec, weights, device, CudaKernels(library) if side == "kernels" else None)
        yield "agreement", {f"{model}, {side}": contest.agreement((5, 70, 33))}
        yield from (("rows", found) for found in contest.latency(singles))
        yield from (("rows", found) for found in contest.throughput(batches))
        yield from (("absent", {name: why}) for name, why in contest.failed.items())
    elif side == "onnxruntime":
        from benchmarks.gpu import onnxruntime

        for found in onnxruntime.measure(spec, weights, library, cases):
            yield "rows", row(model, spec, contender="cuda-fp16", **found)
    else:
        from benchmarks.gpu import tensorrt

        for found in tensorrt.measure(spec, weights, cases, device):
            yield "rows", row(model, spec, contender="tensorrt-fp16", **found)


def _line(kind: str, record: dict[str, Any]) -> str:
    if kind == "parity":
        figures = f"cosine {record['cosine_min']:.7f} at worst, promised {record['promised']}"
        verdict = "kept" if record["kept"] else f"MISSED {record.get('error', '')}".rstrip()
        return f"{record['family']:<20}{record['engine']:<28}{record['precision']}  {figures}: {verdict}"
    if kind == "rows":
        return f"{record['model']:<10}{record['case']:<14}{record['contender']:<28}{record['ms']:>10.3f} ms"
    return f"{kind}: " + ", ".join(f"{name} {value}" for name, value in record.items())


if __name__ == "__main__":
    raise SystemExit(main())
