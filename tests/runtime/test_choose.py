"""The variant that runs is the best for the machine, and the reason is said."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from strizh.runtime.choose import CPU, choose
from strizh.runtime.cuda import PROVIDER as CUDA
from strizh.runtime.cuda import Gpu
from strizh.runtime.engines import Engine, Profile
from strizh.runtime.errors import DeviceError, UsageError
from strizh.runtime.host import Host
from strizh.runtime.manifest import Variant
from strizh.runtime.tensorrt import CLASSIC

PLAIN = Host(
    machine="Linux x86_64",
    cores=2,
    operator_library=True,
    instruction_set="avx512",
    gpu=None,
    cuda_problem="needs CUDAExecutionProvider, which this ONNX Runtime does not offer",
    tensorrt={},
    providers=(CPU,),
    versions={},
    problems=(),
)
BF16 = replace(PLAIN, instruction_set="avx512_bf16")
AMX = replace(PLAIN, instruction_set="amx")
BARE = replace(PLAIN, operator_library=False, instruction_set="")
GPU = replace(AMX, providers=(CUDA, CPU), cuda_problem="", gpu=Gpu("NVIDIA H200", "9.0", 13000))
WITH_TENSORRT = replace(GPU, tensorrt={CLASSIC: "10.16.0"})
ENGINE = Engine(
    graph="tensorrt-fp16.onnx", file="engine.onnx", provider=CLASSIC, version="10.16.0", capabilities=("9.0",),
    gpu="NVIDIA H200", driver=13000, stripped=False, profile=Profile(1, 64, 1, 64),
)  # fmt: skip
NAMES = ("portable-fp32", "portable-int8", "ort-fp32", "cpu-fp32", "cpu-bf16", "cpu-int8", "cuda-fp16", "tensorrt-fp16")


def variants(*names: str) -> dict[str, Variant]:
    return {name: Variant(f"{name}.onnx", *name.split("-")) for name in names}


@pytest.mark.parametrize(
    ("host", "names", "wanted"),
    [
        (GPU, NAMES, "cuda-fp16"),
        (AMX, NAMES, "cpu-bf16"),
        (BF16, NAMES, "cpu-bf16"),
        (PLAIN, NAMES, "cpu-fp32"),
        (BARE, NAMES, "portable-fp32"),
        (PLAIN, ("portable-fp32", "cpu-bf16"), "portable-fp32"),
        (GPU, ("portable-fp32", "cpu-bf16"), "cpu-bf16"),
        (PLAIN, ("ort-fp32", "portable-fp32"), "portable-fp32"),
        (PLAIN, ("ort-fp32", "cpu-int8"), "ort-fp32"),
    ],
)
def test_auto(host: Host, names: tuple[str, ...], wanted: str) -> None:
    choice = choose(variants(*names), host)
    assert choice.variant == wanted
    assert choice.providers == ((CUDA,) if wanted.startswith("cuda") else (CPU,))
    assert set(choice.passed_over) == set(names) - {wanted}
    assert all(choice.passed_over.values())
    assert len(str(choice).splitlines()) == len(names)


def test_reasons_are_the_machines() -> None:
    reasons = choose(variants(*NAMES), PLAIN).passed_over
    assert "no bf16 arithmetic (avx512)" in reasons["cpu-bf16"]
    assert "CUDAExecutionProvider" in reasons["cuda-fp16"]
    assert reasons["cpu-int8"] == reasons["portable-int8"] == "is chosen by name only"
    assert reasons["portable-fp32"] == "comes after cpu-fp32 in the order of speed"
    assert "operator library" in choose(variants(*NAMES), BARE).passed_over["cpu-fp32"]
    broken = replace(BARE, problems=("the operator library cannot be used: STRIZH_ISA is 'sse'",))
    assert choose(variants(*NAMES), broken).passed_over["cpu-fp32"] == (
        "needs strizh's operators, and the operator library cannot be used: STRIZH_ISA is 'sse'"
    )


def test_by_name() -> None:
    for name in ("portable-int8", "cpu-bf16", "cpu-int8", "ort-fp32"):  # slow is no reason to refuse
        assert choose(variants(*NAMES), PLAIN, wanted=name).variant == name
    with pytest.raises(DeviceError, match="variant cuda-fp16 needs CUDAExecutionProvider"):
        choose(variants(*NAMES), PLAIN, wanted="cuda-fp16")
    with pytest.raises(DeviceError, match="variant cpu-fp32 needs the operator library"):
        choose(variants(*NAMES), BARE, wanted="cpu-fp32")
    with pytest.raises(UsageError, match="this bundle has portable-fp32, cpu-fp32"):
        choose(variants("portable-fp32", "cpu-fp32"), PLAIN, wanted="cpu-bf16")


def test_tensorrt_is_taken_where_an_engine_for_the_machine_is() -> None:
    choice = choose(variants(*NAMES), WITH_TENSORRT, engines=[ENGINE])
    assert (choice.variant, choice.providers, choice.engines) == ("tensorrt-fp16", (CLASSIC,), (ENGINE,))
    assert choice.passed_over["cuda-fp16"] == "comes after tensorrt-fp16 in the order of speed"
    older = replace(ENGINE, version="10.13.3")
    choice = choose(variants(*NAMES), WITH_TENSORRT, engines=[older])
    assert choice.variant == "cuda-fp16" and not choice.engines
    assert "an engine was built by TensorRT 10.13.3, here is 10.16.0" in choice.passed_over["tensorrt-fp16"]


def test_tensorrt_that_does_not_take_every_text_is_for_who_asks() -> None:
    longer = replace(ENGINE, file="longer.onnx", profile=Profile(1, 512, 1, 512))
    for engines, taken in (([ENGINE], False), ([ENGINE, longer], True)):
        choice = choose(variants(*NAMES), WITH_TENSORRT, engines=engines, max_length=512)
        assert choice.variant == ("tensorrt-fp16" if taken else "cuda-fp16")
        assert ("has engines for up to 64 of 512 tokens" in choice.passed_over.get("tensorrt-fp16", "")) != taken
    named = choose(variants(*NAMES), WITH_TENSORRT, wanted="tensorrt-fp16", engines=[ENGINE], max_length=512)
    assert (named.variant, named.engines) == ("tensorrt-fp16", (ENGINE,))


def test_tensorrt_without_engines_of_its_classifier_is_for_who_asks() -> None:
    both = variants(*NAMES)
    both["tensorrt-fp16"] = replace(both["tensorrt-fp16"], classifier="classifier.onnx")
    choice = choose(both, WITH_TENSORRT, engines=[ENGINE], max_length=64)
    assert choice.variant == "cuda-fp16" and "has no engine: build one" in choice.passed_over["tensorrt-fp16"]
    engines = [ENGINE, replace(ENGINE, graph="classifier.onnx", file="other.onnx")]
    assert choose(both, WITH_TENSORRT, engines=engines, max_length=64).variant == "tensorrt-fp16"


@pytest.mark.parametrize(
    ("host", "line"),
    [
        (PLAIN, "needs TensorRT, and neither of ONNX Runtime's providers of it is here. Run: pip install onnx"),
        (replace(WITH_TENSORRT, gpu=None), "needs an NVIDIA driver, and libcuda is not here"),
        (WITH_TENSORRT, "has no engine: build one with `strizh build-engine`"),
    ],
)
def test_tensorrt_without_an_engine_says_what_is_missing(host: Host, line: str) -> None:
    assert line in choose(variants(*NAMES), host).passed_over["tensorrt-fp16"]
    with pytest.raises(DeviceError, match=re.escape(f"variant tensorrt-fp16 {line}")):
        choose(variants(*NAMES), host, wanted="tensorrt-fp16")


def test_tensorrt_runs_with_a_provider_of_the_callers() -> None:
    choice = choose(variants(*NAMES), WITH_TENSORRT, wanted="tensorrt-fp16", providers=[CLASSIC], engines=[ENGINE])
    assert choice.providers == (CLASSIC,) and not choice.engines, "it builds one itself"
    assert choose(variants(*NAMES), PLAIN, wanted="tensorrt-fp16", providers=[CPU]).providers == (CPU,)
    with pytest.raises(DeviceError, match="execution provider TensorrtExecutionProvider is not here"):
        choose(variants(*NAMES), GPU, wanted="tensorrt-fp16", providers=[CLASSIC])


@pytest.mark.parametrize("built", [True, False])
def test_graphs_with_own_cuda_operators_need_their_library(built: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strizh.kernels.cuda_library_path", lambda: Path("libstrizh_cuda.so") if built else None)
    own = variants("cuda-fp16", "cpu-fp32")
    own["cuda-fp16"] = replace(own["cuda-fp16"], details={"opset": {"ai.onnx": 17, "strizh": 1}})
    choice = choose(own, GPU)
    assert choice.variant == ("cuda-fp16" if built else "cpu-fp32")
    if not built:
        assert "own CUDA operators, which were not built: install nvcc" in choice.passed_over["cuda-fp16"]
        with pytest.raises(DeviceError, match="cuda-fp16 calls strizh's own CUDA operators, which were not built"):
            choose(own, GPU, wanted="cuda-fp16")


def test_nothing_takes_the_place_of_what_cannot_run() -> None:
    with pytest.raises(DeviceError, match=r"cuda-fp16 needs .*; cpu-int8 is chosen by name only"):
        choose(variants("cuda-fp16", "cpu-int8"), PLAIN)


def test_providers_of_the_caller() -> None:
    assert choose(variants("portable-fp32"), GPU, providers=[CUDA]).providers == (CUDA,)
    with pytest.raises(DeviceError, match=f"execution provider {CUDA} is not here, this ONNX Runtime has {CPU}"):
        choose(variants("portable-fp32"), PLAIN, providers=[CUDA, CPU])
