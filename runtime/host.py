"""What this machine really has: cores, instruction sets, execution providers, versions."""

import platform
from dataclasses import dataclass
from importlib import metadata

import onnxruntime

from strizh.kernels import instruction_sets, library_path
from strizh.runtime.cores import usable_cores

_WHEELS = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True, slots=True)
class Host:
    """One machine as the variant choice and `strizh doctor` see it."""

    machine: str  # "Linux x86_64"
    cores: int  # that this process may use
    instruction_sets: tuple[str, ...]  # that the operator library would use here, best first
    operator_library: bool
    providers: tuple[str, ...]  # execution providers of the installed ONNX Runtime, best first
    versions: dict[str, str]
    problems: tuple[str, ...]  # what is wrong with the installation, each with its cure


def probe() -> Host:
    """Ask the machine. Reads files and the CPU, starts nothing."""
    return Host(
        machine=f"{platform.system()} {platform.machine()}",
        cores=usable_cores(),
        instruction_sets=instruction_sets() if library_path() else (),
        operator_library=library_path() is not None,
        providers=tuple(onnxruntime.get_available_providers()),
        versions=_versions(),
        problems=tuple(_problems()),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("strizh", "numpy", "tokenizers", *_WHEELS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _problems() -> list[str]:
    installed = _versions()
    if all(wheel in installed for wheel in _WHEELS):
        return [
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files. Run: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        ]
    return []
