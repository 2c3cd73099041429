"""The exporter's CUDA graphs in ONNX Runtime, where its GPU wheel is installed, in the runtime's own session."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from benchmarks.gpu.batches import draw
from benchmarks.gpu.parity import Case
from benchmarks.gpu.specs import Weights
from benchmarks.gpu.timing import seconds
from strizh.export.spec import EncoderSpec
from strizh.export.targets import cuda as target
from strizh.runtime import cuda
from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.cuda import OPTIONS, CudaSession
from strizh.runtime.sessions.session import Output


def absent(device: str = "cuda") -> str:
    """Why ONNX Runtime has no part here; empty if it has."""
    try:
        import onnxruntime
    except ImportError:
        return "onnxruntime is not installed"
    found = onnxruntime.get_available_providers()
    return "" if device == "cpu" or cuda.PROVIDER in found else f"this onnxruntime has {', '.join(found)} only"


def session(model: onnx.ModelProto, library: Path, device: str = "cuda") -> CudaSession:
    """A graph on the GPU, where a node that would run on the CPU is an error; or on the CPU, for a rehearsal."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if any(node.domain == "strizh" for node in model.graph.node):
        options.register_custom_ops_library(str(library))
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        onnxruntime.preload_dlls()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        providers = [(cuda.PROVIDER, dict(OPTIONS))]
    opened = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers, enable_fallback=0)
    return CudaSession(opened, variant="cuda")


def check(case: Case, library: Path, device: str) -> Iterator[dict[str, Any]]:
    """Parity of the exporter's graphs in every way that the runtime has of running them, a row for each and each precision.

    In a rehearsal only of what a CPU's provider runs.
    """
    output, batch = Output("sentence_embedding", case.spec.embedding_dimension), PackedBatch.pack(case.texts)
    for precision in ("fp16", "bf16"):
        model = target.build(case.spec, case.weights, precision=precision)
        packed = any(node.op_type == "PackedMultiHeadAttention" for node in model.graph.node)
        if device == "cuda" or not (packed or precision == "bf16"):
            opened = cache(partial(session, model, library, device))
            for way, compute in _ways(opened, case, batch, output).items():
                yield case.row(f"ONNX Runtime{way}", precision, compute)


def _ways(
    opened: Callable[[], CudaSession], case: Case, batch: PackedBatch, output: Output
) -> dict[str, Callable[[], NDArray[Any]]]:
    """As it comes; as a CUDA graph; from a thread that did not capture it; left on the GPU, of the graph and without one."""

    def replayed() -> NDArray[Any]:
        opened().warm_up(batch, output)
        if not opened().graphs:
            raise RuntimeError("no CUDA graph was captured")
        return opened().run(batch, output)

    def elsewhere() -> NDArray[Any]:
        with ThreadPoolExecutor(1) as other:
            return other.submit(opened().run, batch, output).result()

    def left(times: int) -> NDArray[Any]:
        """Of several batches at once, all of which must be the same."""
        count = len(case.texts) * times
        kept = opened().keep(
            PackedBatch.pack(case.texts * 2 * times), [slice(0, count), slice(count, 2 * count)], output
        )
        found = torch.from_dlpack(kept).cpu().numpy().reshape(2 * times, len(case.texts), -1)
        if np.ptp(found, axis=0).max() > 1e-3:
            raise RuntimeError("the same texts have different vectors in the batches of one call")
        return np.asarray(found[-1])

    return {
        "": lambda: opened().run(batch, output), ", replayed": replayed, ", left": partial(left, 1),
        ", left, large": partial(left, 2), ", threads": elsewhere,
    }  # fmt: skip


def measure(
    spec: EncoderSpec, weights: Weights, library: Path, batches: Mapping[str, tuple[int, ...]]
) -> Iterator[dict[str, Any]]:
    """Seconds and tokens of each batch, from ids on the host to vectors on the host. One that fails stops no other."""
    opened = session(target.build(spec, weights), library)
    output, failed = Output("sentence_embedding", spec.embedding_dimension), []
    for case, lengths in batches.items():
        batch = PackedBatch.pack(draw(lengths, spec.vocab_size))
        try:
            opened.warm_up(batch, output)
            spent = seconds(partial(opened.run, batch, output), "cuda")
        except Exception as error:
            failed.append(f"{case}: {' '.join(str(error).split())[:200]}")
            continue
        yield {"case": case, "seconds": spent, "tokens": sum(lengths)}
    if failed:
        raise RuntimeError("; ".join(failed))
