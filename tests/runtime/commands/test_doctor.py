"""`strizh doctor` tells the truth about the machine, and finds what is wrong with an installation."""

import json
from dataclasses import replace
from importlib import metadata

import pytest

from strizh.runtime import cuda, host, tensorrt


def test_json_holds_what_the_page_shows(strizh):
    status, shown, _ = strizh("doctor", "--json")
    found = json.loads(shown)
    page = strizh("doctor")[1]
    assert status == (1 if found["problems"] else 0)
    assert found["cores"]["usable"] >= 1 and "CPUExecutionProvider" in found["providers"]
    assert found["versions"]["onnxruntime"] == metadata.version("onnxruntime")
    for word in (found["system"], found["processor"], *found["instruction_sets"], *found["providers"]):
        assert word in page


def test_names_the_variant_that_would_be_chosen(strizh, make_bundle):
    bundle = make_bundle()
    assert "portable-fp32: " in strizh("doctor", bundle)[1]
    assert "portable-fp32: " in json.loads(strizh("doctor", bundle, "--json")[1])["choice"]


@pytest.fixture
def both_wheels(monkeypatch):
    """As if onnxruntime-gpu were installed beside onnxruntime."""
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.31.1" if name == "onnxruntime-gpu" else version(name))


def test_both_wheels_of_onnxruntime_are_a_problem_with_its_two_commands(strizh, both_wheels):
    status, shown, _ = strizh("doctor")
    assert status == 1
    problem = next(line for line in shown.splitlines() if line.startswith("WRONG"))
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in problem and "pip install onnxruntime-gpu" in problem


def test_an_installation_without_kernels_says_what_it_lacks(strizh, monkeypatch):
    monkeypatch.setattr("strizh.kernels.library_path", lambda: None)
    status, shown, _ = strizh("doctor")
    assert status == 0
    assert "not built, so cpu-* variants cannot run" in shown


def test_cuda_operators_are_shown_as_they_are(strizh, monkeypatch, tmp_path):
    monkeypatch.setattr("strizh.kernels.cuda_library_path", lambda: None)
    assert "CUDA operators    not built: windows, relative bias and bfloat16" in strizh("doctor")[1]
    broken = tmp_path / "libstrizh_cuda.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr("strizh.kernels.library.cuda_library_path", lambda: broken)
    monkeypatch.setattr("strizh.kernels.cuda_library_path", lambda: broken)
    assert f"CUDA operators    {broken} does not load: " in strizh("doctor")[1]
    monkeypatch.setattr("strizh.kernels.cuda_capabilities", lambda: ("8.0", "9.0"))
    assert "CUDA operators    built, with code for compute capability 8.0, 9.0" in strizh("doctor")[1]


def test_gpu_and_tensorrt_are_shown_where_they_are(strizh, monkeypatch):
    gpu = cuda.Gpu("NVIDIA H200", "9.0", 13000)
    machine = replace(host.probe(), gpu=gpu, tensorrt={tensorrt.RTX: "1.7.1"})
    monkeypatch.setattr(host, "probe", lambda: machine)
    page = strizh("doctor")[1]
    assert "GPU               NVIDIA H200, compute capability 9.0, driver for CUDA 13.0" in page
    assert f"TensorRT          1.7.1, by {tensorrt.RTX}" in page


def test_a_gpu_is_shown_that_no_provider_is_for(strizh, monkeypatch):
    monkeypatch.setattr(cuda, "find_gpu", lambda: cuda.Gpu("NVIDIA H200", "9.0", 13000))
    assert "GPU               NVIDIA H200, compute capability 9.0" in strizh("doctor")[1]


def test_a_missing_extra_is_shown_with_its_command(strizh, monkeypatch):
    version = metadata.version

    def without_pyarrow(name):
        if name == "pyarrow":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_pyarrow)
    assert "parquet: lacks pyarrow. Run: pip install 'strizh[parquet]'" in strizh("doctor")[1]


def test_a_broken_onnxruntime_is_a_problem_and_no_traceback(strizh, monkeypatch):
    def probe():
        raise AttributeError("module 'onnxruntime' has no attribute 'get_available_providers'")

    monkeypatch.setattr("strizh.runtime.host.probe", probe)
    status, shown, _ = strizh("doctor")
    assert status == 1 and "pip install --force-reinstall onnxruntime" in shown
