"""tensorrt-fp16 as strizh runs it: engines built for the shapes that are timed, opened by ONNX Runtime's provider of TensorRT."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu.batches import draw
from benchmarks.gpu.specs import Weights
from benchmarks.gpu.timing import seconds
from strizh.export.engines.builder import Builder, find_builder
from strizh.export.engines.wrapper import wrap
from strizh.export.spec import EncoderSpec
from strizh.export.targets import tensorrt as target
from strizh.export.write import write_model
from strizh.runtime import cuda, tensorrt
from strizh.runtime.batching import PackedBatch
from strizh.runtime.engines import Engine, Profile
from strizh.runtime.errors import Error
from strizh.runtime.manifest import Variant
from strizh.runtime.sessions.engines import EngineSession
from strizh.runtime.sessions.opening import create
from strizh.runtime.sessions.session import Output

_MOST_TEXTS = 64  # of one padded batch; more run in parts, of texts that are neighbours in length


def absent(device: str = "cuda") -> str:
    """Why TensorRT has no part here; empty if it has. In a rehearsal the CPU's provider plays it."""
    try:
        import onnxruntime

        builder = None if device == "cpu" else find_builder()
    except (ImportError, Error) as error:
        return str(error)
    if builder is None:
        return ""
    here, gpu = tensorrt.installed(onnxruntime.get_available_providers()), cuda.find_gpu()
    if builder.provider not in here:
        return f"engines are built by TensorRT {builder.version}, but {builder.provider} is not here to run them"
    if gpu is None or gpu.capability not in builder.capabilities:
        return f"TensorRT for RTX builds for compute capability {', '.join(builder.capabilities)}, not for this GPU's"
    return ""


def measure(
    spec: EncoderSpec, weights: Weights, batches: Mapping[str, tuple[int, ...]], device: str
) -> Iterator[dict[str, Any]]:
    """Seconds and tokens of each batch, from ids on the host to vectors on the host."""
    output = Output("sentence_embedding", spec.embedding_dimension)
    builder = None if device == "cpu" else find_builder()
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        write_model(target.build(spec, weights), graph, None)
        engines = [(profile, _opened(graph, profile, builder)) for profile in _profiles(list(batches.values()))]
        session = EngineSession(engines, variant="tensorrt-fp16", pad_token_id=0)
        for case, lengths in batches.items():
            texts = sorted(draw(lengths, spec.vocab_size), key=len, reverse=True)
            call = partial(session.run, PackedBatch.pack(texts), output)
            yield {"case": case, "seconds": seconds(call, device), "tokens": sum(lengths)}


def _profiles(cases: Sequence[tuple[int, ...]]) -> list[Profile]:
    """Two for a text alone, of which a short one replays CUDA graphs, and one for batches: each takes a minute to build."""
    alone = max((max(lengths) for lengths in cases if len(lengths) == 1), default=1)
    batches = [lengths for lengths in cases if len(lengths) > 1]
    most, longest = min(max(map(len, batches)), _MOST_TEXTS), max(map(max, batches))
    short = min(alone, 64)
    return [Profile(1, short, 1, short), Profile(1, alone, 1, alone), Profile(most, longest, most, min(longest, 256))]


def _opened(graph: Path, profile: Profile, builder: Builder | None) -> Any:
    variant = Variant(graph.name, "tensorrt", "fp16")
    if builder is None:
        return create(graph, variant, "tensorrt-fp16", 1, ["CPUExecutionProvider"])
    engine = Engine(
        graph=graph.name, file="engine.onnx", provider=builder.provider, version=builder.version,
        capabilities=builder.capabilities, gpu=None, driver=None, profile=profile, stripped=False,
    )  # fmt: skip
    path = graph.with_name(engine.file)
    path.write_bytes(wrap(graph, builder.build(graph, profile)[0], engine).SerializeToString())
    settings = tensorrt.engine_options(engine, graph.parent)
    return create(path, variant, "tensorrt-fp16", 1, [builder.provider], settings)
