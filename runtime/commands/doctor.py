"""`strizh doctor`: what this machine and this installation have, what is wrong with them, and what would be chosen."""

import argparse
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
        "extras": dict(_extras()),
    }
    try:
        from strizh.runtime.host import probe

        machine = probe()
    except (ImportError, AttributeError) as error:  # AttributeError: half of one wheel over half of another
        cure = "Run: pip install --force-reinstall onnxruntime"
        return found | {"system": "", "versions": {}, "providers": [], "problems": [f"onnxruntime: {error}. {cure}"]}
    return found | {
        "system": machine.machine,
        "versions": machine.versions,
        "providers": list(machine.providers),
        "problems": list(machine.problems),
    }


def _page(found: dict[str, Any]) -> Iterator[str]:
    cores = found["cores"]
    quota = f" (the control group allows {cores['quota']:g})" if cores["quota"] else ""
    lacking = {extra: ", ".join(missing) for extra, missing in found["extras"].items() if missing}
    yield f"strizh {found['strizh']}"
    yield ""
    yield f"system            {found['system']}"
    yield f"processor         {found['processor']}"
    yield f"instruction sets  {' '.join(found['instruction_sets']) or 'unknown'}"
    yield f"cores             {cores['usable']} usable{quota}"
    yield f"versions          {', '.join(f'{name} {version}' for name, version in found['versions'].items())}"
    yield f"providers         {', '.join(found['providers']) or 'none'}"
    yield f"kernels           {_kernels_line(found['kernels'])}"
    yield f"extras            {', '.join(extra for extra in found['extras'] if extra not in lacking) or 'none'}"
    for extra, missing in lacking.items():
        yield f"                  {extra} lacks {missing}: {_TO_GPU if extra == 'gpu' else _install(extra)}"
    if "choice" in found:
        yield ""
        yield f"{'would choose':<18}" + found["choice"].replace("\n", f"\n{'':18}")
    yield ""
    yield from (f"WRONG: {problem}" for problem in found["problems"])
    if not found["problems"]:
        yield "Nothing is wrong."


def _kernels() -> dict[str, Any] | None:
    """The operator library; what is wrong with one that is there but does not run is among the host's problems."""
    from strizh import kernels

    if not (path := kernels.library_path()):
        return None
    try:
        return {"path": str(path), "uses": kernels.instruction_set(), "of": list(kernels.instruction_sets())}
    except (OSError, ValueError) as error:
        return {"path": str(path), "uses": None, "problem": str(error)}


def _kernels_line(kernels: dict[str, Any] | None) -> str:
    if kernels is None:
        return "not built, so cpu-* variants cannot run; with a C++ compiler, run: pip install --force-reinstall strizh"
    if not kernels["uses"]:
        return f"cannot be used: {kernels['problem']}"
    return f"built, using {kernels['uses']} of {', '.join(kernels['of'])}"


# strizh depends on the CPU wheel and both write the same files: the GPU wheel comes after it, and in its place.
_TO_GPU = "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"


def _install(extra: str) -> str:
    return f"pip install 'strizh[{extra}]'"


def _extras() -> Iterator[tuple[str, list[str]]]:
    """Each extra for users with the packages it still lacks."""
    needs: dict[str, list[str]] = {}
    for requirement in metadata.requires("strizh") or ():
        parts = re.match(r"""([\w.-]+).*; extra == ["'](\w+)["']""", requirement)
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
