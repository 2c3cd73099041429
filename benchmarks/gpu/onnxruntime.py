"""The exporter's CUDA graphs in ONNX Runtime, where its GPU wheel is installed, in the runtime's own session."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnx

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
    """Parity of the exporter's graphs, a row for each precision; in a rehearsal only of what a CPU's provider runs."""
    output, batch = Output("sentence_embedding", case.spec.embedding_dimension), PackedBatch.pack(case.texts)
    for precision in ("fp16", "bf16"):
        model = target.build(case.spec, case.weights, precision=precision)
        packed = any(node.op_type == "PackedMultiHeadAttention" for node in model.graph.node)
        if device == "cuda" or not (packed or precision == "bf16"):
            yield case.row("ONNX Runtime", precision, session(model, library, device).run(batch, output))


def measure(
    spec: EncoderSpec, weights: Weights, library: Path, batches: Mapping[str, tuple[int, ...]]
) -> Iterator[dict[str, Any]]:
    """Seconds and tokens of each batch, from ids on the host to vectors on the host."""
    opened = session(target.build(spec, weights), library)
    output = Output("sentence_embedding", spec.embedding_dimension)
    for case, lengths in batches.items():
        batch = PackedBatch.pack(draw(lengths, spec.vocab_size))
        opened.warm_up(batch, output)
        yield {"case": case, "seconds": seconds(partial(opened.run, batch, output), "cuda"), "tokens": sum(lengths)}
