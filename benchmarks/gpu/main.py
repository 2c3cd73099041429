"""Parity, then speed, on the GPU of this machine; on a CPU, with `--rehearse`, the same steps over emulated threads."""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import onnxruntime as ort
from benchmarks.gpu import parity, tensorrt, varlen
from benchmarks.gpu.specs import TIMED, bert, random_weights, rope_bert
from benchmarks.gpu.speed import BATCHES, LATENCY, Contest
from benchmarks.gpu.timing import matrix_rate
from benchmarks.machine import describe
from strizh.kernels.native_cuda import CudaKernels
from strizh.runtime.errors import Error


def main() -> int:
    """Measure, print, write. Status 1 where a parity promise is missed."""
    arguments = _arguments()
    device = "cpu" if arguments.rehearse else "cuda"
    kernels = CudaKernels(arguments.library)
    found: dict[str, Any] = {"machine": describe() | _gpu(device), "parity": list(_parity(arguments, kernels, device))}
    _table(found["parity"])
    found["ceiling_fp16"] = matrix_rate(device, torch.float16)
    found["absent"] = _absent(device)
    found["rows"] = list(_rows(arguments, kernels, device, found["ceiling_fp16"], found["absent"]))
    for line in found["absent"]:
        print(f"not measured: {line}")
    if arguments.rehearse:
        print("rehearsed: every step ran, the times above are a CPU's and mean nothing, nothing was written")
    else:
        _write(found, arguments.results)
    return 0 if all(row["kept"] for row in found["parity"]) else 1


def _parity(arguments: argparse.Namespace, kernels: CudaKernels, device: str) -> Iterator[dict[str, Any]]:
    """The kernels on torch's buffers, and the same behind ONNX Runtime where it has a part here."""
    for case in parity.cases(device):
        yield from parity.check(case, kernels, device)
        if not ort.absent(device):
            yield from ort.check(case, arguments.library.absolute(), device)


def _rows(
    arguments: argparse.Namespace, kernels: CudaKernels, device: str, ceiling: float, absent: list[str]
) -> Iterator[dict[str, Any]]:
    """Every figure, printed as it comes; `absent` is told which contender did not run."""
    rehearse = arguments.rehearse
    shapes = {"tiny": rope_bert(bert(1, 64, 2, 128, vocabulary=500))} if rehearse else TIMED
    singles = (16, 70) if rehearse else LATENCY
    batches: dict[str, tuple[int, ...]] = {"3 ragged": (3, 40, 17)} if rehearse else BATCHES
    for name, spec in shapes.items():
        weights = random_weights(spec)
        with torch.inference_mode():
            contest = Contest(name, spec, weights, kernels, device)
            print(
                f"{name}: the peer's vectors are ours to a cosine of {contest.agreement((5, 70, 33)):.6f}", flush=True
            )
            found = [contest.latency(singles), contest.throughput(batches)]
            if not rehearse and not ort.absent():
                library = arguments.library.absolute()
                cases = {f"1 x {length}": (length,) for length in singles} | batches
                found.append(
                    contest.row(contender="cuda-fp16", **row) for row in ort.measure(spec, weights, library, cases)
                )
            if not tensorrt.absent(device):
                cases = {f"1 x {length}": (length,) for length in singles} | batches
                try:
                    timed = list(tensorrt.measure(spec, weights, cases, device))
                    found.append(contest.row(contender="tensorrt-fp16", **row) for row in timed)
                except Error as error:
                    absent.append(f"{name}, tensorrt-fp16: {error}")
            absent += contest.failed
            for row in itertools.chain(*found):
                row["share_of_ceiling"] = row.pop("operations_per_second") / ceiling
                print(_line(row), flush=True)
                yield row


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, required=True, help="libstrizh_cuda.so, or its emulation")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, without a GPU")
    return parser.parse_args()


def _gpu(device: str) -> dict[str, Any]:
    if device == "cpu":
        return {"gpu": None}
    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": properties.name, "capability": f"{properties.major}.{properties.minor}", "torch": torch.__version__,
        "cuda": torch.version.cuda, "multiprocessors": properties.multi_processor_count,
    }  # fmt: skip


def _absent(device: str) -> list[str]:
    """What is to be measured beside, and this machine lacks."""
    missing = [f"TensorRT: {why}"] if (why := tensorrt.absent(device)) else []
    if why := ort.absent():
        missing.append(f"cuda-fp16 in ONNX Runtime: {why}")
    names = ("torch varlen_attn", "flash_attn varlen")
    return missing + [f"{name}: {why}" for name in names if (why := varlen.absent(name))]


def _table(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        verdict = "kept" if row["kept"] else "MISSED"
        figures = f"cosine {row['cosine_min']:.7f} at worst, promised {row['promised']}"
        print(f"{row['family']:<20}{row['engine']:<14}{row['precision']}  {figures}: {verdict}")


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['model']:<10}{row['case']:<14}{row['contender']:<28}{row['ms']:>10.3f} ms"
        f"{row['tokens_per_second']:>14,.0f} tokens/s{row['share_of_ceiling']:>8.1%} of the fp16 ceiling"
    )


def _write(found: dict[str, Any], folder: Path) -> None:
    name = found["machine"]["gpu"].lower().replace(" ", "-")
    path = folder / f"gpu-{name}-{time.strftime('%Y-%m-%d')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    raise SystemExit(main())
