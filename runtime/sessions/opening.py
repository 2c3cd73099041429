"""From a variant of a bundle to an open session: options, the operator library, the check of the providers."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnxruntime

from strizh.kernels import cuda_library_path, library_path
from strizh.runtime import tensorrt
from strizh.runtime.bundle import Bundle
from strizh.runtime.choose import Choice, calls_cuda_operators
from strizh.runtime.cuda import PROVIDER
from strizh.runtime.engines import Engine, Profile
from strizh.runtime.errors import BundleError, DeviceError, Error
from strizh.runtime.manifest import Variant
from strizh.runtime.onnx_file import check_graph
from strizh.runtime.sessions import cuda
from strizh.runtime.sessions.captures import CAPTURES
from strizh.runtime.sessions.cuda import CudaSession
from strizh.runtime.sessions.engines import EngineSession
from strizh.runtime.sessions.packed import PackedSession
from strizh.runtime.sessions.padded import PaddedSession
from strizh.runtime.sessions.session import Session, one_line

PACKED_TARGETS = ("cpu",)
_HASHING_THREADS = 4
_NO_OPERATOR = "is not a registered function/op"  # as ONNX Runtime says it


def open_session(bundle: Bundle, choice: Choice, file: str, *, threads: int, max_batch_tokens: int) -> Session:
    """Open a graph of the chosen variant; `file` is its encoder or its classifier.

    The files are hashed while ONNX Runtime loads them, by up to `_HASHING_THREADS` at 1 to 1.5 GB/s each, and nothing is
    returned before the hashes agree: damaged weights would give wrong vectors without a word. Engines, which are machine
    code, are hashed before. `BundleError` for a bad file, `DeviceError` for a bad machine.
    """
    name = choice.variant
    variant, pad = bundle.manifest.variants[name], bundle.manifest.spec.get("pad_token_id")
    pad_token_id = pad if isinstance(pad, int) else 0
    opened = partial(_opened, bundle, choice, threads)
    if choice.engines:
        engines = [engine for engine in choice.engines if engine.graph == file]
        if not engines:
            raise DeviceError(f"{name} has no engine of {file} for this machine. Build one with `strizh build-engine`")
        sessions = [(engine.profile, _open_engine(bundle, choice, threads, engine)) for engine in engines]
        return EngineSession(sessions, variant=name, pad_token_id=pad_token_id)
    builders = [one for one in (tensorrt.RTX, tensorrt.CLASSIC) if one in choice.providers]
    if variant.target == "tensorrt" and builders:
        longest = bundle.manifest.max_length
        profile = Profile(max(1, max_batch_tokens // longest), longest, 1, longest)
        hashes = [bundle.manifest.files[one].sha256 for one in (file, *variant.data)]
        settings = tensorrt.building_options(builders[0], profile, _inputs(bundle, variant, file), hashes)
        return EngineSession([(profile, opened(file, variant.data, settings))], variant=name, pad_token_id=pad_token_id)
    session = opened(file, variant.data, {})
    if variant.target == "cuda":
        return CudaSession(session, variant=name)
    if variant.target in PACKED_TARGETS:
        return PackedSession(session, threads=threads, variant=name)
    return PaddedSession(session, variant=name, pad_token_id=pad_token_id)


def _open_engine(bundle: Bundle, choice: Choice, threads: int, engine: Engine) -> Any:
    """ONNX Runtime's session of an engine that is what the manifest says, as is what a stripped one takes its weights from."""
    name = choice.variant
    variant, graph = bundle.manifest.variants[name], bundle.path(engine.graph)
    sources = (engine.graph, *variant.data) if engine.stripped else ()
    check_graph(bundle, engine.file, ())
    bundle.verify((engine.file, *sources), min(threads, _HASHING_THREADS))
    settings = tensorrt.engine_options(engine, graph.parent)
    session = create(bundle.path(engine.file), variant, name, threads, choice.providers, settings)
    _check_providers(session, choice.providers, name)
    return session


def _inputs(bundle: Bundle, variant: Variant, file: str) -> tuple[str, ...]:
    """Inputs of a padded graph, which only a classifier of pairs has three of."""
    classifier = bundle.manifest.spec.get("classifier") if file == variant.classifier else None
    pairs = isinstance(classifier, dict) and classifier.get("token_types", 0) > 1
    return ("input_ids", "attention_mask", *(["token_type_ids"] if pairs else []))


def _opened(
    bundle: Bundle,
    choice: Choice,
    threads: int,
    file: str,
    data: tuple[str, ...],
    settings: Mapping[str, str],
) -> Any:
    """ONNX Runtime's session of a graph with its `data`, all of which are what the manifest says."""
    name = choice.variant
    check_graph(bundle, file, data)
    with ThreadPoolExecutor(1, "strizh-hash") as hashing:
        intact = hashing.submit(bundle.verify, (file, *data), min(threads, _HASHING_THREADS))
        try:
            variant = bundle.manifest.variants[name]
            session = create(bundle.path(file), variant, name, threads, choice.providers, settings)
        except Error:
            intact.result()  # "replaced" says more than what the parser, or a device's provider, stumbled over
            raise
        intact.result()
    _check_providers(session, choice.providers, name)
    return session


def create(
    graph: Path,
    variant: Variant,
    name: str,
    threads: int,
    providers: Sequence[str],
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """ONNX Runtime's session of a graph, unchecked; `settings` are for a provider of TensorRT's."""
    packed = variant.target in PACKED_TARGETS
    options = _options(1 if packed else threads)  # strizh's operators bring their own threads
    if packed:
        _register_operators(options, library_path(), name)
    if calls_cuda_operators(variant):
        _register_operators(options, cuda_library_path(), name)
    if PROVIDER in providers or tensorrt.CLASSIC in providers:
        onnxruntime.preload_dlls()  # of NVIDIA's wheels
    if tensorrt.CLASSIC in providers:
        tensorrt.preload()
    if variant.target == "cuda" and PROVIDER in providers:
        # A node that the GPU cannot run is an error, not a detour. The CPU's provider may not be named then.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        providers = [PROVIDER]
    on_gpu = {PROVIDER, tensorrt.CLASSIC, tensorrt.RTX} & set(providers)
    by_provider = {PROVIDER: dict(cuda.OPTIONS), tensorrt.CLASSIC: dict(settings)}
    try:
        with CAPTURES.none() if on_gpu else nullcontext():
            if tensorrt.RTX in providers:
                tensorrt.add_plug_in(options, settings)
                return onnxruntime.InferenceSession(str(graph), options)
            chosen = [by_provider.get(provider, {}) for provider in providers]
            return onnxruntime.InferenceSession(str(graph), options, list(providers), chosen, enable_fallback=0)
    except Error:
        raise
    except Exception as error:  # pybind classes without a common base of their own
        if {tensorrt.CLASSIC, tensorrt.RTX} & set(providers):
            raise DeviceError(f"{name}: TensorRT does not open {graph.name}: {one_line(error)}") from None
        if PROVIDER in providers:
            raise DeviceError(
                f"{name}: ONNX Runtime's CUDA provider does not run the graph: {one_line(error)}. If it misses a library "
                "of CUDA: pip install 'onnxruntime-gpu[cuda]', or import a CUDA build of torch before"
            ) from None
        if packed and _NO_OPERATOR in str(error):
            raise BundleError(
                f"{graph.name} has an operator that the strizh installed here does not know: {one_line(error)}. Install the "
                "strizh that exported the bundle, or a later one; or export the bundle again"
            ) from None
        raise BundleError(
            f"{graph.name} is not a graph that ONNX Runtime {onnxruntime.__version__} can run: {one_line(error)}. "
            "Check the bundle with `strizh verify`, or export it again"
        ) from None


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    options.enable_mem_pattern = False  # a plan for every new shape would be kept for ever
    # Threads wait for work by spinning while a batch runs (a third quicker on one short text than sleeping between
    # nodes), and stop when it ends: an idle encoder uses no CPU.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _register_operators(options: Any, library: Path | None, name: str) -> None:
    if library is None:
        raise DeviceError(
            f"{name} needs strizh's operator library, which this installation lacks (it had no C++ compiler). "
            "Install a compiler and strizh again, or load variant='portable-fp32'"
        )
    try:
        options.register_custom_ops_library(str(library))
    except Exception as error:
        raise DeviceError(f"{name}: the operator library cannot be loaded: {one_line(error)}. Reinstall it") from None


def _check_providers(session: Any, providers: Sequence[str], name: str) -> None:
    missing = [provider for provider in providers if provider not in session.get_providers()]
    if missing:
        raise DeviceError(
            f"{name}: ONNX Runtime could not start {', '.join(missing)} and fell back to "
            f"{', '.join(session.get_providers())}. See `strizh doctor`"
        )
