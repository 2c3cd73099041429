"""What this machine really has: cores, instruction sets, execution providers, versions."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata

import onnxruntime

from strizh import kernels
from strizh.runtime import cuda, tensorrt
from strizh.runtime.cores import usable_cores

NO_OPERATORS = "the operator library cannot be used"  # how that problem begins
_WHEELS = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True, slots=True)
class Host:
    """One machine as the variant choice and `strizh doctor` see it."""

    machine: str  # "Linux x86_64"
    cores: int  # that this process may use
    operator_library: bool
    instruction_set: str  # that the operator library uses here; empty without the library
    gpu: cuda.Gpu | None  # asked for where a provider is
    cuda_problem: str  # why cuda variants cannot run, to follow their name; empty where they can
    tensorrt: Mapping[str, str]  # version of TensorRT behind each of ONNX Runtime's providers of it
    providers: tuple[str, ...]  # execution providers of the installed ONNX Runtime, best first
    versions: Mapping[str, str]
    problems: tuple[str, ...]  # what is wrong with the installation, each with its cure


def probe(*, gpu: bool = True) -> Host:
    """Ask the machine. Reads files and the CPU.

    Asking for a GPU, where a provider has a use for one, starts CUDA, which forked children cannot use then. Without `gpu`
    the machine counts as one that has none.
    """
    versions = dict(_versions())
    problems = list(_wheel_clash(versions))
    instruction_set = ""
    try:
        instruction_set = kernels.instruction_set() if kernels.library_path() else ""
    except (OSError, ValueError) as error:  # a library for another machine; a STRIZH_ISA that does not run here
        problems.append(f"{NO_OPERATORS}: {error}")
    providers = tuple(onnxruntime.get_available_providers())
    trt = tensorrt.installed(providers) if gpu else {}
    found = cuda.find_gpu() if gpu and (trt or cuda.PROVIDER in providers) else None
    return Host(
        machine=f"{platform.system()} {platform.machine()}",
        cores=usable_cores(),
        operator_library=bool(instruction_set),
        instruction_set=instruction_set,
        gpu=found,
        cuda_problem=cuda.problem(providers, versions, found),
        tensorrt=trt,
        providers=providers,
        versions=versions,
        problems=tuple(problems),
    )


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for name in ("strizh", "numpy", "tokenizers", *_WHEELS):
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _wheel_clash(versions: Mapping[str, str]) -> Iterator[str]:
    if all(wheel in versions for wheel in _WHEELS):
        yield (
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files. Run: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        )
