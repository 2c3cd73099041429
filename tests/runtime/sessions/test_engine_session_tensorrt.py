"""A bundle with engines on a machine that has a provider for them: which are opened, with what, and which runs what.

The provider is played by the CPU's, which runs the graph that an engine was built from: so the vectors must be right.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import strizh
from strizh.export import export_model
from strizh.runtime import host, tensorrt
from strizh.runtime.bundle import Bundle
from strizh.runtime.cuda import Gpu
from strizh.runtime.engines import Engine, Profile
from strizh.runtime.errors import BundleError, DeviceError, UsageError
from strizh.runtime.manifest import MANIFEST, File
from strizh.runtime.placement import DeviceVectors
from strizh.runtime.sessions import device_memory, opening
from strizh.runtime.sessions.session import Output
from strizh.runtime.tensorrt import CLASSIC, RTX

TINY = Path(__file__).parents[2] / "data/rope-e5-tiny-ru"
TEXTS = [f"Стриж номер {number} летит над рекой." for number in range(7)] + ["Он не садится. " * 5]
GRAPH = "tensorrt/model_fp16.onnx"
Opened = list[tuple[str, Any, Any]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "bundle"
    export_model(TINY, folder, variants=["portable-fp32", "tensorrt-fp16"], verify=False)
    return folder


def with_engines(folder: Path, provider: str, *profiles: Profile, stripped: bool = False) -> Path:
    """The bundle with engines, whose files hold the graph itself."""
    manifest = Bundle(folder).manifest
    engines, files = [], dict(manifest.files)
    for profile in profiles:
        name = f"tensorrt/{profile}.onnx"
        (folder / name).write_bytes((folder / GRAPH).read_bytes())
        files[name] = File.of(folder / name)
        engine = Engine(
            graph=GRAPH, file=name, provider=provider, version="10.16.0", capabilities=("9.0",), gpu=None, driver=None,
            stripped=stripped, profile=profile,
        )  # fmt: skip
        engines.append(engine)
    (folder / MANIFEST).write_text(replace(manifest, engines=tuple(engines), files=files).to_json(), encoding="utf-8")
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy to write engines into."""
    for path in exported.rglob("*"):
        if path.is_file():
            target = tmp_path / "bundle" / path.relative_to(exported)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path / "bundle"


@pytest.fixture(scope="module")
def expected(exported: Path) -> np.ndarray:
    with strizh.load(exported, variant="portable-fp32") as encoder:
        return encoder.encode(TEXTS)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, expected: np.ndarray, tmp_path: Path) -> Opened:
    """On an H200 with TensorRT 10.16: the files that are opened, with providers and their options."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seen: Opened = []
    machine = replace(
        host.probe(), gpu=Gpu("NVIDIA H200", "9.0", 13000), tensorrt=dict.fromkeys((CLASSIC, RTX), "10.16.0")
    )
    monkeypatch.setattr(host, "probe", lambda **_: machine)
    monkeypatch.setattr(device_memory, "_ON_CUDA", ())  # the GPU's memory is the host's

    def session(path: str, options: Any, providers: Any = None, settings: Any = None, **rest: Any) -> Any:
        seen.append((Path(path).name, providers, settings))
        names = [name.replace(CLASSIC, "CPUExecutionProvider") for name in providers or ["CPUExecutionProvider"]]
        real = Inference(path, options, providers=names)
        monkeypatch.setattr(real, "get_providers", lambda: [*(providers or [RTX]), *names])
        return real

    Inference = onnxruntime.InferenceSession  # noqa: N806
    monkeypatch.setattr(opening.onnxruntime, "InferenceSession", session)
    return seen


def test_tensorrt_engines_are_opened_and_each_takes_its_shapes(
    folder: Path, opened: Opened, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with strizh.load(with_engines(folder, CLASSIC, Profile(3, 512, 1, 32), Profile(1, 512, 1, 64))) as encoder:
        assert encoder.variant == "tensorrt-fp16"
        assert f"providers: {CLASSIC}, engines: 1x32..3x512, 1x64..1x512" in encoder.explain()
        assert opened == [("1x32..3x512.onnx", [CLASSIC], [{}]), ("1x64..1x512.onnx", [CLASSIC], [{}])]
        session = encoder._pipeline(encoder._sentence).session
        runs = {str(one.profile): _count_runs(one.session, monkeypatch) for one in session._engines}
        found = encoder.encode(TEXTS)
        assert (found * expected).sum(1).min() > 0.9999
        assert {name: len(sizes) for name, sizes in runs.items()} == {"1x32..3x512": 3, "1x64..1x512": 0}, "3 + 3 + 2"
        np.testing.assert_allclose(encoder.encode(TEXTS[2]), found[2], atol=1e-3)
        assert len(runs["1x64..1x512"]) == 1, "one text alone is not padded to three"


def test_tensorrt_engine_of_one_graph_is_given_one_shape_in_one_place(
    folder: Path, opened: Opened, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime's provider captures what it runs first, and replays that whatever it is given: so does this session."""
    engines = with_engines(folder, CLASSIC, Profile(2, 32, 1, 32), Profile(8, 512, 8, 512))
    with strizh.load(engines) as encoder:
        assert [settings for _, _, settings in opened] == [[{"trt_cuda_graph_enable": "1"}], [{}]]
        session = encoder._pipeline(encoder._sentence).session
        replays = _replay_the_first(session._engines[0].session, monkeypatch)
        tokens = Output("token_embeddings", encoder.manifest.spec["hidden_size"], per_token=True)
        for text, vector in zip(TEXTS[:7] * 2, np.concatenate([expected[:7]] * 2), strict=True):
            assert encoder.encode(text) @ vector > 0.9999
        np.testing.assert_allclose((encoder.encode(TEXTS[3:5]) * expected[3:5]).sum(1), 1, atol=1e-4)
        batch = encoder.tokenize(TEXTS[0])
        assert session.run(batch, tokens).shape == (len(batch.input_ids), tokens.width)
        assert len(replays) == 16 and session.graphs == 1
        assert (encoder.encode(TEXTS) * expected).sum(1).min() > 0.9999 and len(replays) == 16, "the other engine's"


def _replay_the_first(session: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have a session run its first binding every time, as a provider does that has captured it."""
    runs: list[Any] = []
    real: Callable[..., Any] = session.run_with_iobinding

    def replay(*call: Any) -> Any:
        runs.append(call)
        return real(*runs[0])

    monkeypatch.setattr(session, "run_with_iobinding", replay)
    return runs


def test_tensorrt_plug_in_is_given_few_shapes_each_in_one_place(
    folder: Path, opened: Opened, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It captures a graph of every shape by itself: shapes are rounded up within the profile, and keep their buffers."""
    monkeypatch.setattr(tensorrt, "add_plug_in", lambda options, settings: plugged.append(dict(settings)))
    plugged: list[dict[str, str]] = []
    with strizh.load(with_engines(folder, RTX, Profile(7, 100, 1, 64)), "tensorrt-fp16") as encoder:
        assert [settings["enable_cuda_graph"] for settings in plugged] == ["1"]
        session = encoder._pipeline(encoder._sentence).session
        runs = _count_runs(session._engines[0].session, monkeypatch)
        for _ in range(3):
            for some in (slice(0, 1), slice(0, 5), slice(1, 6), slice(0, 7)):
                assert (encoder.encode(TEXTS[some]) * expected[some]).sum(1).min() > 0.9999
        shapes = {(bucket.texts, bucket.longest) for bucket in session._graphs.buckets}
        longest = {shape[1] for shape in shapes}
        assert {shape[0] for shape in shapes} == {1, 6, 7} and longest <= {16, 24, 32}, "8 texts are more than it takes"
        bindings = [call[0] for call in runs]
        assert len({id(binding) for binding in bindings[-8:]}) == 3, "the same bindings again and again"


def test_tensorrt_batches_are_copied_ahead_to_engines_without_graphs(
    folder: Path, opened: Opened, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with strizh.load(with_engines(folder, CLASSIC, Profile(2, 512, 2, 512)), max_batch_tokens=64) as encoder:
        session = encoder._pipeline(encoder._sentence).session
        staged: list[str] = []
        put = session._put
        monkeypatch.setattr(
            session, "_put", lambda batch: (staged.append(threading.current_thread().name), put(batch))[1]
        )
        assert (encoder.encode(TEXTS) * expected).sum(1).min() > 0.9999
        assert len(staged) >= 4 and all(name.startswith("strizh-copy") for name in staged) and session.graphs == 0


def test_tensorrt_inputs_of_all_engines_are_made_in_turn(
    folder: Path, opened: Opened, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines with graphs and without share the host's buffers, and one may copy ahead from another thread meanwhile."""
    engines = with_engines(folder, CLASSIC, Profile(1, 32, 1, 32), Profile(3, 512, 1, 32))
    with strizh.load(engines, max_batch_tokens=64) as encoder:
        session = encoder._pipeline(encoder._sentence).session
        feed, taken = session._feed, list[bool]()
        monkeypatch.setattr(session, "_feed", lambda *call: (taken.append(session._staging.locked()), feed(*call))[1])
        encoder.encode(TEXTS[0])  # binds the graph's buffers, then fills them
        assert taken == [True] * 2 and session.graphs == 1
        assert encoder.encode(TEXTS[0], output="dlpack").numpy() @ expected[0] > 0.9999
        assert (encoder.encode(TEXTS) * expected).sum(1).min() > 0.9999
        assert (encoder.encode(TEXTS, output="dlpack").numpy() * expected).sum(1).min() > 0.9999
        assert len(taken) > 6 and all(taken)


def _count_runs(session: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    runs: list[Any] = []
    real: Callable[..., Any] = session.run_with_iobinding
    monkeypatch.setattr(session, "run_with_iobinding", lambda *call: (runs.append(call), real(*call)))
    return runs


def test_tensorrt_engines_give_the_tokens_of_every_part(folder: Path, opened: Opened) -> None:
    with strizh.load(with_engines(folder, CLASSIC, Profile(2, 512, 1, 32))) as encoder:
        batch = encoder.tokenize(TEXTS)
        output = replace(
            encoder._sentence, name="token_embeddings", width=encoder.manifest.spec["hidden_size"], per_token=True
        )
        pipeline = encoder._pipeline(output)
        together = pipeline.session.run(batch, output)
        alone = [pipeline.session.run(batch.take(np.array([row])), output) for row in range(len(batch))]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=5e-3)


def test_tensorrt_vectors_stay_where_they_are_computed(folder: Path, opened: Opened, expected: np.ndarray) -> None:
    """In parts of three texts, and for one alone by the engine that is given one shape; in the caller's order."""
    with strizh.load(with_engines(folder, CLASSIC, Profile(1, 32, 1, 32), Profile(3, 512, 1, 32))) as encoder:
        kept = encoder.encode([TEXTS[0], "", *TEXTS[1:]], output="dlpack")
        assert isinstance(kept, DeviceVectors) and kept.shape == (len(TEXTS) + 1, encoder.dimension)
        found = np.delete(np.from_dlpack(kept), 1, axis=0)
        assert (found * expected).sum(1).min() > 0.9999
        for _ in range(2):
            single = encoder.encode(TEXTS[1], output="torch")
            assert single.shape == (encoder.dimension,) and float(single.numpy() @ expected[1]) > 0.9999
        with pytest.raises(UsageError, match="leaves vectors on the GPU as the graph gives them"):
            encoder.encode(TEXTS, output="dlpack", precision="int8")


def test_tensorrt_text_beyond_every_engine_is_one_line(folder: Path, opened: Opened) -> None:
    with_engines(folder, CLASSIC, Profile(4, 16, 4, 16))
    with strizh.load(folder) as encoder:
        assert encoder.variant == "portable-fp32" and "has engines for up to 16 of" in encoder.explain()
        assert len(encoder.encode(TEXTS)) == len(TEXTS)
    with strizh.load(folder, "tensorrt-fp16") as encoder:
        line = (
            r"a text has \d\d tokens, its engines take up to 16. Build one with `strizh build-engine --profiles 1x\d\d`"
        )
        with pytest.raises(DeviceError, match=line):
            encoder.encode(TEXTS)
        assert len(encoder.encode(["Стриж."] * 9)) == 9


def test_tensorrt_stripped_engine_has_the_weights_of_a_graph_that_is_hashed(folder: Path, opened: Opened) -> None:
    with_engines(folder, CLASSIC, Profile(4, 512, 4, 512), stripped=True)
    strizh.load(folder).close()
    ((_, _, (settings,)),) = opened
    assert settings == {
        "trt_weight_stripped_engine_enable": "1", "trt_onnx_model_folder_path": str(folder / "tensorrt"),
    }  # fmt: skip
    graph = folder / GRAPH
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match=r"tensorrt/model_fp16.onnx is not the file that was exported"):
        strizh.load(folder)


def test_tensorrt_engine_that_was_changed_is_refused(folder: Path, opened: Opened) -> None:
    path = with_engines(folder, CLASSIC, Profile(4, 512, 4, 512)) / "tensorrt/4x512.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match=r"tensorrt/4x512.onnx is not the file that was exported"):
        strizh.load(folder)
    assert not opened, "machine code is opened once its hash is known"


def test_tensorrt_graph_that_was_changed_is_told_before_what_its_provider_says(
    folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*call: Any, **rest: Any) -> Any:
        raise RuntimeError("the network could not be built")

    monkeypatch.setattr(opening.onnxruntime, "InferenceSession", refuse)
    with pytest.raises(DeviceError, match=r"TensorRT does not open model_fp16.onnx: the network could not be built"):
        strizh.load(folder, "tensorrt-fp16", providers=[CLASSIC])
    graph = folder / GRAPH
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match=r"tensorrt/model_fp16.onnx is not the file that was exported"):
        strizh.load(folder, "tensorrt-fp16", providers=[CLASSIC])


def test_tensorrt_plug_in_is_registered_once_and_given_its_device(
    folder: Path, opened: Opened, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[Any] = []
    added: list[Any] = []
    plug_in = ModuleType(tensorrt.PLUG_IN)
    plug_in.__spec__ = ModuleSpec(tensorrt.PLUG_IN, None)
    plug_in.get_ep_name, plug_in.get_library_path = (lambda: RTX), (lambda: "plug-in.so")
    monkeypatch.setitem(sys.modules, tensorrt.PLUG_IN, plug_in)
    monkeypatch.setattr(tensorrt, "_registered", set())
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda *call: registered.append(call))
    device = SimpleNamespace(ep_name=RTX, memory_info=lambda kind: None)
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [device] * 2 if registered else [])
    monkeypatch.setattr(
        onnxruntime.SessionOptions, "add_provider_for_devices", lambda self, *call: added.append(call), raising=False
    )
    with_engines(folder, RTX, Profile(4, 512, 4, 512), Profile(1, 64, 1, 64))
    with strizh.load(folder) as encoder:
        assert (encoder.encode(TEXTS) * expected).sum(1).min() > 0.9999
    assert registered == [(RTX, "plug-in.so")]
    assert [devices for devices, _ in added] == [[device], [device]]
    assert all(set(settings) == {"nv_runtime_cache_path", "enable_cuda_graph"} for _, settings in added)
    assert [providers for _, providers, _ in opened] == [None, None], "a plug-in's session names no providers"
    monkeypatch.setattr(onnxruntime, "get_ep_devices", list)
    with pytest.raises(DeviceError, match=f"{RTX} finds no GPU that it runs on"):
        strizh.load(folder)
    assert len(registered) == 1, "a second time is an error of ONNX Runtime's"


def test_tensorrt_provider_by_name_builds_one_engine_when_it_is_opened(
    folder: Path, opened: Opened, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with strizh.load(folder, "tensorrt-fp16", providers=[CLASSIC], max_batch_tokens=2048) as encoder:
        assert (encoder.encode(TEXTS) * expected).sum(1).min() > 0.9999
        most = f"{2048 // encoder.max_length}x{encoder.max_length}"
    ((name, providers, (settings,)),) = opened
    assert (name, providers) == ("model_fp16.onnx", [CLASSIC])
    assert settings["trt_profile_max_shapes"] == f"input_ids:{most},attention_mask:{most}"
    assert settings["trt_profile_min_shapes"] == "input_ids:1x1,attention_mask:1x1"
    monkeypatch.setattr(tensorrt, "add_plug_in", lambda options, settings: opened.append(("plug-in", [], settings)))
    with pytest.raises(DeviceError, match=f"could not start {CLASSIC}"):
        strizh.load(folder, "tensorrt-fp16", providers=[CLASSIC, RTX])
    assert all(key.startswith("nv_") for key in opened[1][2]), "of the two, the plug-in is the one that is opened"


def test_tensorrt_engines_that_a_provider_built_are_cached_by_the_weights(
    folder: Path, opened: Opened, tmp_path: Path
) -> None:
    paths = []
    for seed in (0, 1):
        graph = folder / GRAPH
        model = onnx.load(graph)
        model.doc_string = str(seed)  # in the place of other weights
        onnx.save(model, graph)
        manifest = Bundle(folder).manifest
        changed = replace(manifest, files=manifest.files | {GRAPH: File.of(graph)})
        (folder / MANIFEST).write_text(changed.to_json(), encoding="utf-8")
        strizh.load(folder, "tensorrt-fp16", providers=[CLASSIC]).close()
        (settings,) = opened[-1][2]
        paths.append((settings["trt_engine_cache_path"], settings["trt_timing_cache_path"]))
    (one, timings), (other, again) = paths
    assert one != other and timings == again
