"""`strizh doctor`: what this machine and this installation have, what is wrong with them, and what would be chosen."""

import argparse
import dataclasses
import json
import re
from collections.abc import Iterator
from importlib import metadata
from typing import Any

HELP = "show what this machine has, what is wrong, and which variant of a bundle would be chosen"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", nargs="?", help="say what would be chosen for this bundle")
    parser.add_argument("--json", action="store_true", help="the same for a program")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 where something is wrong."""
    found = examine()
    if args.bundle:
        from strizh.runtime.encoder import load

        with load(args.bundle) as encoder:
            found["choice"] = encoder.explain()
    print(json.dumps(found, ensure_ascii=False, indent=2) if args.json else "\n".join(_page(found)))
    return 1 if found["problems"] else 0


def examine() -> dict[str, Any]:
    """Everything that the page shows, as plain data."""
    from strizh.runtime import cores, processor

    found: dict[str, Any] = {
        "strizh": metadata.version("strizh"),
        "processor": processor.name(),
        "instruction_sets": list(processor.instruction_sets()),
        "cores": {"usable": cores.usable_cores(), "quota": cores.cpu_quota()},
        "kernels": _kernels(),
        "cuda_operators": _cuda_operators(),
        "extras": dict(_extras()),
    }
    try:
        from strizh.runtime import choose, cuda, host

        machine = host.probe()
        gpu = machine.gpu or cuda.find_gpu()
    except (ImportError, AttributeError) as error:  # AttributeError: half of one wheel over half of another
        cure = "Run: pip install --force-reinstall onnxruntime"
        problems = [f"onnxruntime: {error}. {cure}"]
        nothing: dict[str, Any] = {"gpu": None, "tensorrt": {}, "versions": {}, "providers": [], "auto": {}}
        return found | {"system": "", "problems": problems} | nothing
    return found | {
        "system": machine.machine,
        "versions": machine.versions,
        "providers": list(machine.providers),
        "gpu": dataclasses.asdict(gpu) if gpu else None,
        "tensorrt": dict(machine.tensorrt),
        "auto": {"-".join(kind): choose.against(*kind, machine) for kind in choose.ORDER},
        "problems": list(machine.problems),
    }


def _page(found: dict[str, Any]) -> Iterator[str]:
    yield f"strizh {found['strizh']}"
    yield ""
    for name, lines in _facts(found):
        for line in lines or ["none"]:
            yield f"{name:<18}{line}"
            name = ""
    yield ""
    yield from (f"WRONG: {problem}" for problem in found["problems"])
    if not found["problems"]:
        yield "Nothing is wrong."


def _facts(found: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Each fact with its lines."""
    quota = found["cores"]["quota"]
    yield "system", [found["system"]]
    yield "processor", [found["processor"]]
    yield "instruction sets", [" ".join(found["instruction_sets"]) or "unknown"]
    yield "cores", [f"{found['cores']['usable']} usable" + (f" (the control group allows {quota:g})" if quota else "")]
    yield "versions", [f"{name} {version}" for name, version in found["versions"].items()]
    yield "providers", found["providers"]
    yield "kernels", [_kernels_line(found["kernels"])]
    yield "GPU", [_gpu_line(found["gpu"])] if found["gpu"] else []
    yield "CUDA operators", [_cuda_operators_line(found["cuda_operators"])]
    yield "TensorRT", [f"{version}, by {provider}" for provider, version in found["tensorrt"].items()]
    yield "extras", [f"{extra}: {_extra_line(extra, lacking)}" for extra, lacking in found["extras"].items()]
    yield "auto takes", [", else ".join(name for name, why in found["auto"].items() if not why)] + [
        f"not {name}: it {why}" for name, why in found["auto"].items() if why
    ]
    if "choice" in found:
        yield "of this bundle", found["choice"].splitlines()


def _kernels() -> dict[str, Any]:
    """The operator library; why one that is there does not run is among the host's problems."""
    from strizh import kernels

    if not (path := kernels.library_path()):
        return {"path": None, "uses": None}
    try:
        return {"path": str(path), "uses": kernels.instruction_set(), "of": list(kernels.instruction_sets())}
    except (OSError, ValueError):
        return {"path": str(path), "uses": None}


def _kernels_line(kernels: dict[str, Any]) -> str:
    if not kernels["path"]:
        return "not built, so cpu-* variants cannot run: install a C++ compiler, then strizh again"
    if not kernels["uses"]:
        return f"{kernels['path']} does not run here"
    return f"built, using {kernels['uses']} of {', '.join(kernels['of'])}"


def _cuda_operators() -> dict[str, Any]:
    """The library of CUDA operators, the kinds of GPU that it has code for, and why it does not load."""
    from strizh import kernels

    path = kernels.cuda_library_path()
    found: dict[str, Any] = {"path": path and str(path), "of": [], "problem": ""}
    try:
        return found | {"of": list(kernels.cuda_capabilities())} if path else found
    except (OSError, AttributeError) as error:  # AttributeError: a library of an older strizh
        return found | {"problem": str(error)}


def _cuda_operators_line(operators: dict[str, Any]) -> str:
    if not operators["path"]:
        return "not built: windows, relative bias and bfloat16 on a GPU need them (`make cuda`, with nvcc)"
    if operators["problem"]:
        return f"{operators['path']} does not load: {operators['problem']}. Build it again with `make cuda`"
    return f"built, with code for compute capability {', '.join(operators['of'])}"


def _gpu_line(gpu: dict[str, Any]) -> str:
    from strizh.runtime.cuda import dotted

    return f"{gpu['name']}, compute capability {gpu['capability']}, driver for CUDA {dotted(gpu['driver'])}"


def _extra_line(extra: str, lacking: list[str]) -> str:
    if not lacking:
        return "installed"
    # strizh depends on the CPU wheel and both write the same files: the GPU wheel comes after it, and in its place.
    in_its_place = "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"
    return f"lacks {', '.join(lacking)}. Run: {in_its_place if extra == 'gpu' else _install(extra)}"


def _install(extra: str) -> str:
    return f"pip install 'strizh[{extra}]'"


def _extras() -> Iterator[tuple[str, list[str]]]:
    """Each extra for users with the packages it still lacks."""
    needs: dict[str, list[str]] = {}
    for requirement in metadata.requires("strizh") or ():
        parts = re.match(r"""([\w.-]+).*; extra == ["']([\w-]+)["']""", requirement)
        if parts and parts[2] != "test":
            missing = parts[1] != "strizh" and not _installed(parts[1])
            needs.setdefault(parts[2], []).extend([parts[1]] if missing else [])
    yield from needs.items()


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
