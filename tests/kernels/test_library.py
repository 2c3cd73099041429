"""The library as a whole: its symbols, the choice of instruction set, threads, forks."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strizh import kernels
from strizh.kernels import native

pytestmark = pytest.mark.skipif(kernels.library_path() is None, reason="the kernels were not built")
needs_nm = pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
_OBJECTS = sorted(Path(__file__).parents[2].glob("build/*/CMakeFiles/strizh_cpu.dir/cpu/isa/*.o"))


def _symbols(path: Path, *options: str) -> list[list[str]]:
    lines = subprocess.run(["nm", *options, str(path)], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split() for line in lines]


@needs_nm
@pytest.mark.skipif(not _OBJECTS, reason="no object files: the library was not built in this tree")
@pytest.mark.parametrize("path", _OBJECTS, ids=lambda path: path.name)
def test_an_instruction_set_defines_its_record_and_nothing_else(path: Path) -> None:
    """A weak symbol here could be linked into code that an older CPU runs."""
    defined = [fields[-1] for fields in _symbols(path, "-C", "--defined-only", "--extern-only")]
    assert defined == [f"strizh::{path.name.split('.')[0]}::kernels"]


@needs_nm
def test_the_library_exports_its_interface_only() -> None:
    path = kernels.library_path()
    assert path is not None
    exported = {fields[-1] for fields in _symbols(path, "-D", "--defined-only", "--extern-only")}
    assert {name for name in exported if not name.startswith("strizh_")} == {"RegisterCustomOps"}


def _in_new_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from strizh import kernels\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize("name", (*kernels.instruction_sets(), "amx_emulated") if kernels.library_path() else ())
def test_the_environment_forces_an_instruction_set(name: str) -> None:
    assert _in_new_process("print(kernels.instruction_set())", STRIZH_ISA=name).stdout.strip() == name


def test_an_unknown_instruction_set_is_answered_with_those_that_run() -> None:
    failed = _in_new_process("kernels.instruction_set()", STRIZH_ISA="mmx")
    assert failed.returncode != 0
    assert re.search(r"STRIZH_ISA is 'mmx'.*expected one of .*generic", failed.stderr)


def test_an_unknown_instruction_set_fails_the_session_too() -> None:
    code = "import onnxruntime as o\ns = o.SessionOptions()\ns.register_custom_ops_library(str(kernels.library_path()))"
    failed = _in_new_process(code, STRIZH_ISA="mmx")
    assert failed.returncode != 0 and "expected one of" in failed.stderr


@pytest.fixture
def layer(random_layer: Any) -> native.EncoderLayer:
    options = {
        "head_size": 32,
        "activation": "gelu",
        "attention_scale": 0.2,
        "norm_kind": "layer_norm",
        "norm_eps": 1e-6,
    }
    return native.EncoderLayer(random_layer(64, 2, 2, 32, 96), precision="bf16", **options)


def test_concurrent_calls_give_the_same_bits(layer: native.EncoderLayer, rng: np.random.Generator) -> None:
    hidden, cu_seqlens = rng.normal(size=(300, 64)).astype(np.float32), [0, 20, 300]
    expected, wrong = layer(hidden, cu_seqlens), []

    def work() -> None:
        wrong.extend(i for i in range(50) if not np.array_equal(layer(hidden, cu_seqlens), expected))

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_with_threads_of_its_own(layer: native.EncoderLayer, rng: np.random.Generator) -> None:
    hidden, cu_seqlens = rng.normal(size=(300, 64)).astype(np.float32), [0, 300]
    expected = layer(hidden, cu_seqlens)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(layer(hidden, cu_seqlens), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_threads_are_counted(layer: native.EncoderLayer) -> None:
    kernels.set_threads(3)
    assert kernels.threads() == 3
    kernels.set_threads(None)
    assert kernels.threads() >= 1
