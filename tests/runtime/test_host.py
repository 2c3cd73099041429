"""What is said about the machine is what it is."""

import contextlib
import ctypes
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

import strizh
from strizh import kernels
from strizh.runtime import cuda, host, tensorrt
from strizh.runtime.errors import DeviceError
from strizh.runtime.manifest import Variant


def test_probe_asks_the_machine() -> None:
    machine = host.probe()
    assert machine.cores >= 1
    assert machine.providers == tuple(onnxruntime.get_available_providers())
    assert machine.versions["onnxruntime"] == onnxruntime.__version__
    assert machine.operator_library == (kernels.library_path() is not None)
    assert machine.problems == ()


@pytest.mark.parametrize(
    ("providers", "installed", "asks"),
    [((), {}, False), ((cuda.PROVIDER,), {}, True), ((), {tensorrt.RTX: "1.7.1"}, True)],
)
def test_cuda_is_not_started_where_nothing_could_use_it(
    providers: tuple[str, ...], installed: dict[str, str], asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = cuda.Gpu("NVIDIA H200", "9.0", 13000)
    monkeypatch.setattr(cuda, "find_gpu", lambda: gpu)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*providers, "CPUExecutionProvider"])
    monkeypatch.setattr(tensorrt, "installed", lambda offered: installed)
    assert host.probe().gpu == (gpu if asks else None)
    assert host.probe(gpu=False).gpu is None


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize(
    ("targets", "wanted", "providers", "starts"),
    [
        (("portable",), "auto", None, False),
        (("portable", "cuda"), "portable-fp32", None, False),
        (("portable", "tensorrt"), "portable-fp32", None, False),
        (("portable", "cuda"), "portable-fp32", ["CPUExecutionProvider"], False),
        (("portable", "cuda"), "auto", None, True),
        (("portable", "tensorrt"), "auto", None, True),
        (("portable", "cuda"), "cuda-fp32", None, True),
        (("portable",), "portable-fp32", [cuda.PROVIDER], True),
    ],
)
def test_cuda_is_started_only_where_a_gpu_is_in_question(
    targets: tuple[str, ...],
    wanted: str,
    providers: list[str] | None,
    starts: bool,
    make_bundle: Callable[..., Path],
    fake_driver: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a GPU wheel and a driver, which start CUDA when they are asked; no graph is opened by either here."""
    driver, load = fake_driver(), ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name, *rest, **more: driver if name == "libcuda.so.1" else load(name))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda.PROVIDER, "CPUExecutionProvider"])
    variants = {f"{target}-fp32": Variant("onnx/model.onnx", target, "fp32") for target in targets}
    folder = make_bundle(variants=variants)
    with contextlib.suppress(DeviceError):  # this ONNX Runtime's GPU is played
        strizh.load(folder, wanted, providers=providers).close()
    assert driver.started == starts


def test_both_wheels_are_noticed_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, make_bundle: Callable[..., Path]
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.2.3")
    (problem,) = host.probe().problems
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu" in problem
    with pytest.warns(RuntimeWarning, match="both installed") as caught:
        strizh.load(make_bundle()).close()
    assert caught[0].filename == __file__


def test_a_library_that_does_not_load_is_a_problem_and_no_crash(
    monkeypatch: pytest.MonkeyPatch, make_bundle: Callable[..., Path]
) -> None:
    def broken() -> str:
        raise OSError("wrong ELF class")

    monkeypatch.setattr(kernels, "library_path", lambda: Path("lib"))
    monkeypatch.setattr(kernels, "instruction_set", broken)
    machine = host.probe()
    assert not machine.operator_library
    assert machine.problems == ("the operator library cannot be used: wrong ELF class",)
    with warnings.catch_warnings(record=True), strizh.load(make_bundle()) as encoder:
        assert encoder.variant == "portable-fp32"


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_onnx_runtime_does_not_report_home_unless_told_to(before: str | None, after: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    script = "import os, strizh; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment |= {} if before is None else {"ORT_DISABLE_TELEMETRY": before}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == after
