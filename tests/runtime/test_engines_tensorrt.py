"""Which engines of a bundle a machine takes, why not the others, and what providers are told."""

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from strizh.runtime import tensorrt
from strizh.runtime.cuda import Gpu
from strizh.runtime.engines import Engine, Profile, fitting
from strizh.runtime.errors import DeviceError
from strizh.runtime.tensorrt import CLASSIC, RTX, building_options, engine_options

H200, ADA = Gpu("NVIDIA H200", "9.0", 13000), Gpu("NVIDIA GeForce RTX 4090", "8.9", 13020)
GRAPH = "tensorrt/model_fp16.onnx"
HERE = Engine(
    graph=GRAPH, file="here.onnx", provider=CLASSIC, version="10.16.0", capabilities=("9.0",), gpu="NVIDIA H200",
    driver=13000, stripped=False, profile=Profile(1, 64, 1, 64),
)  # fmt: skip
AHEAD = replace(
    HERE, file="ahead.onnx", provider=RTX, version="1.7.1.116", capabilities=("8.0", "8.9"), gpu=None, driver=None
)
BOTH = {CLASSIC: "10.16.0.4", RTX: "1.7.1"}


@pytest.mark.parametrize(
    ("gpu", "installed", "wanted"),
    [
        (H200, BOTH, "here.onnx"),
        (ADA, BOTH, "ahead.onnx"),
        (ADA, {RTX: "1.7.1"}, "ahead.onnx"),
        (ADA, {RTX: "1.7"}, "ahead.onnx"),  # Windows' libraries say no more
    ],
)
def test_tensorrt_engine_fits_its_machine(gpu: Gpu, installed: Mapping[str, str], wanted: str) -> None:
    found, why = fitting([AHEAD, HERE], GRAPH, gpu, installed)
    assert [engine.file for engine in found] == [wanted] and not why


@pytest.mark.parametrize(
    ("engine", "gpu", "installed", "why"),
    [
        (HERE, ADA, BOTH, "an engine is for compute capability 9.0, NVIDIA GeForce RTX 4090 has 8.9"),
        (AHEAD, H200, BOTH, "an engine is for compute capability 8.0, 8.9, NVIDIA H200 has 9.0"),
        (HERE, H200, {RTX: "1.7.1"}, f"an engine is for {CLASSIC}, which is not here"),
        (HERE, H200, {CLASSIC: "10.13.3"}, "an engine was built by TensorRT 10.16.0, here is 10.13.3"),
        (AHEAD, ADA, {RTX: "1.8.0"}, "an engine was built by TensorRT 1.7.1.116, here is 1.8.0"),
        (HERE, replace(H200, driver=13010), BOTH, "an engine was built on NVIDIA H200 with another driver"),
        (HERE, replace(H200, name="NVIDIA H100"), BOTH, "on another GPU than NVIDIA H100"),
        (AHEAD, None, BOTH, "an engine needs an NVIDIA GPU and its driver"),
    ],
)
def test_tensorrt_engine_of_another_machine_is_passed_over_with_the_reason(
    engine: Engine, gpu: Gpu | None, installed: Mapping[str, str], why: str
) -> None:
    found, reason = fitting([engine], GRAPH, gpu, installed)
    assert not found and why in reason and reason.endswith("build one with `strizh build-engine`")


def test_tensorrt_engines_of_other_graphs_do_not_count() -> None:
    assert (
        fitting([HERE], "tensorrt/other.onnx", H200, BOTH)[1] == "has no engine: build one with `strizh build-engine`"
    )


def test_tensorrt_versions_are_asked_of_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tensorrt.installed(["CPUExecutionProvider"]) == {}
    plug_in = tmp_path / tensorrt.PLUG_IN
    plug_in.mkdir()
    for name in ("__init__.py", "libtensorrt_rtx.so.1.7.1", "libtensorrt_onnxparser_rtx.so.1.7.1"):
        (plug_in / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert tensorrt.installed(["CPUExecutionProvider"]) == {RTX: "1.7.1"}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(getInferLibVersion=lambda: 101600))
    assert tensorrt.installed([CLASSIC]) == {CLASSIC: "10.16.0", RTX: "1.7.1"}
    assert list(tensorrt.installed([CLASSIC])) == [CLASSIC, RTX], "what was built on this GPU comes first"


def test_tensorrt_counts_only_where_its_library_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> object:
        if name in sys.modules.get("tensorrt_libs", SimpleNamespace(LOADED=())).LOADED:
            return SimpleNamespace(getInferLibVersion=lambda: 101302)
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert tensorrt.installed([CLASSIC]) == {}
    assert "libnvinfer.so.10 does not load. Run: pip install tensorrt" in tensorrt.missing([CLASSIC])
    assert "neither of ONNX Runtime's providers" in tensorrt.missing(["CPUExecutionProvider"])
    (tmp_path / "tensorrt_libs.py").write_text(
        "LOADED = ['libnvinfer.so.10']"
    )  # as the wheels' package: by importing it
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt_libs", raising=False)
    try:
        assert tensorrt.installed(["CPUExecutionProvider"]) == {} and "tensorrt_libs" not in sys.modules
        assert tensorrt.installed([CLASSIC]) == {CLASSIC: "10.13.2"}
    finally:
        sys.modules.pop("tensorrt_libs", None)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of caches of an H200 with TensorRT 10.16.0 and 1.7.1."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tensorrt, "find_gpu", lambda: H200)
    monkeypatch.setattr(tensorrt, "installed", lambda providers: {name: BOTH[name] for name in providers})
    return str(tmp_path / "strizh/tensorrt")


def test_tensorrt_caches_are_keyed_by_gpu_driver_and_version(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tensorrt.cache_folder(CLASSIC)
    assert str(first) == f"{cache}/TensorrtExecutionProvider-10.16.0.4-NVIDIA-H200-9.0-cuda13000"
    folders = {first, tensorrt.cache_folder(RTX)}
    for gpu in (ADA, replace(H200, driver=13010), replace(H200, name="NVIDIA H100"), None):
        monkeypatch.setattr(tensorrt, "find_gpu", lambda gpu=gpu: gpu)
        folders.add(tensorrt.cache_folder(CLASSIC))
    assert len(folders) == 6
    assert all(folder.is_dir() for folder in folders), "providers make the last folder of a path only"


def test_tensorrt_cache_that_cannot_be_made_is_one_line(
    cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DeviceError, match=r"cannot be made \(.*\)\. Set XDG_CACHE_HOME to a folder of yours"):
        tensorrt.cache_folder(CLASSIC)


def test_tensorrt_providers_open_an_engine_with_their_own_options(cache: str) -> None:
    here, ahead = (replace(engine, profile=Profile(16, 512, 16, 512)) for engine in (HERE, AHEAD))
    assert engine_options(here, Path("bundle/tensorrt")) == {}
    assert engine_options(replace(here, stripped=True), Path("bundle/tensorrt")) == {
        "trt_weight_stripped_engine_enable": "1", "trt_onnx_model_folder_path": "bundle/tensorrt",
    }  # fmt: skip
    assert engine_options(ahead, Path("bundle/tensorrt")) == {
        "nv_runtime_cache_path": f"{cache}/NvTensorRTRTXExecutionProvider-1.7.1-NVIDIA-H200-9.0-cuda13000"
    }


def test_tensorrt_engines_of_few_tokens_replay_cuda_graphs(cache: str) -> None:
    def graphs(engine: Engine, profile: Profile) -> list[str]:
        built = building_options(engine.provider, profile, ["input_ids"], ["graph"])
        opened = engine_options(replace(engine, profile=profile), Path("bundle/tensorrt"))
        found = [[option for option in options if "cuda_graph" in option] for options in (built, opened)]
        assert found[0] == found[1] and bool(found[0]) == tensorrt.has_graphs(engine.provider, profile)
        return found[0]

    assert graphs(HERE, Profile(4, 64, 1, 64)) == ["trt_cuda_graph_enable"]
    assert graphs(HERE, Profile(5, 64, 1, 64)) == []
    assert graphs(AHEAD, Profile(8, 512, 1, 64)) == ["enable_cuda_graph"]
    assert graphs(AHEAD, Profile(16, 512, 1, 64)) == []


def test_tensorrt_providers_that_build_are_told_every_shape_before(cache: str) -> None:
    inputs, profile = ("input_ids", "attention_mask"), Profile(16, 512, 1, 512)
    shapes = {
        "min": "input_ids:1x1,attention_mask:1x1",
        "opt": "input_ids:1x512,attention_mask:1x512",
        "max": "input_ids:16x512,attention_mask:16x512",
    }
    classic = building_options(CLASSIC, profile, inputs, ["graph", "weights"])
    assert {f"trt_profile_{end}_shapes": shape for end, shape in shapes.items()}.items() <= classic.items()
    assert classic["trt_engine_cache_enable"] == classic["trt_timing_cache_enable"] == "1"
    own, shared = Path(classic["trt_engine_cache_path"]), Path(classic["trt_timing_cache_path"])
    assert own.parent == shared == tensorrt.cache_folder(CLASSIC) and own.is_dir()
    rtx = building_options(RTX, profile, inputs, ["graph", "weights"])
    assert {f"nv_profile_{end}_shapes": shape for end, shape in shapes.items()}.items() <= rtx.items()
    assert set(rtx) == {"nv_runtime_cache_path", *(f"nv_profile_{end}_shapes" for end in shapes)}


def test_tensorrt_engines_of_other_weights_are_not_found_in_the_cache(cache: str) -> None:
    def folder(*hashes: str) -> str:
        return building_options(CLASSIC, Profile(1, 64, 1, 64), ["input_ids"], hashes)["trt_engine_cache_path"]

    assert folder("graph", "weights") == folder("graph", "weights")
    assert len({folder("graph", "weights"), folder("graph", "others"), folder("graph")}) == 3
