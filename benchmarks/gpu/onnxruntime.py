"""cuda-fp16 in ONNX Runtime, where its GPU wheel is installed: the graph of the exporter in the runtime's own session."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.gpu.batches import draw
from benchmarks.gpu.specs import Weights
from benchmarks.gpu.timing import seconds
from strizh.export.spec import EncoderSpec
from strizh.export.targets import cuda as target
from strizh.runtime import cuda
from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.cuda import OPTIONS, CudaSession
from strizh.runtime.sessions.session import Output


def absent() -> str:
    """Why ONNX Runtime has no part here; empty if it has."""
    try:
        import onnxruntime
    except ImportError:
        return "onnxruntime is not installed"
    found = onnxruntime.get_available_providers()
    return "" if cuda.PROVIDER in found else f"this onnxruntime has {', '.join(found)} only"


def session(spec: EncoderSpec, weights: Weights) -> CudaSession:
    """The cuda-fp16 graph on the GPU; a node that would run on the CPU is an error."""
    import onnxruntime

    onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    graph = target.build(spec, weights).SerializeToString()
    opened = onnxruntime.InferenceSession(graph, options, providers=[(cuda.PROVIDER, dict(OPTIONS))], enable_fallback=0)
    return CudaSession(opened, variant="cuda-fp16")


def measure(spec: EncoderSpec, weights: Weights, batches: Mapping[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    """Seconds and tokens of each batch, from ids on the host to vectors on the host."""
    opened, output, rows = session(spec, weights), Output("sentence_embedding", spec.embedding_dimension), []
    for case, lengths in batches.items():
        batch = PackedBatch.pack(draw(lengths, spec.vocab_size))
        opened.warm_up(batch, output)
        rows.append(
            {
                "case": case,
                "seconds": seconds(partial(opened.run, batch, output), "cuda"),
                "tokens": sum(lengths),
            }
        )
    return rows
