"""`strizh doctor`: what this machine and this installation have, what is wrong with them, and what would be chosen."""

import argparse
import json
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from typing import Any

HELP = "show what this machine has, what is wrong, and which variant of a bundle would be chosen"
_BASE = ("onnxruntime", "onnxruntime-gpu", "tokenizers", "numpy")


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
    from strizh import kernels
    from strizh.runtime import cores, onnxruntime_wheels, processor

    problems = []
    if clash := onnxruntime_wheels.clash():
        problems.append(clash)
    try:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
    except (ImportError, AttributeError) as error:  # a half-overwritten package lacks its attributes
        providers = []
        problems.append(f"onnxruntime cannot be used: {error}. Run: pip install --force-reinstall onnxruntime")
    library = kernels.library_path()
    return {
        "strizh": _version("strizh"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor.name(),
        "instruction_sets": list(processor.instruction_sets()),
        "cores": {"usable": cores.usable_cores(), "quota": cores.cpu_quota()},
        "versions": {name: version for name in _BASE if (version := _version(name))},
        "providers": list(providers),
        "kernels": str(library) if library else None,
        "extras": dict(_extras()),
        "problems": problems,
    }


def _page(found: dict[str, Any]) -> Iterator[str]:
    cores = found["cores"]
    quota = f" (the control group allows {cores['quota']:g})" if cores["quota"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lacking = {extra: ", ".join(missing) for extra, missing in found["extras"].items() if missing}
    yield f"strizh {found['strizh']} on Python {found['python']}, {found['system']}"
    yield ""
    yield f"processor         {found['processor']}"
    yield f"instruction sets  {' '.join(found['instruction_sets']) or 'unknown'}"
    yield f"cores             {cores['usable']} usable{quota}"
    yield f"versions          {versions}"
    yield f"providers         {', '.join(found['providers']) or 'none'}"
    yield f"kernels           {found['kernels'] or _NO_KERNELS}"
    yield f"extras            {', '.join(extra for extra in found['extras'] if extra not in lacking) or 'none'}"
    for extra, missing in lacking.items():
        remedy = onnxruntime_wheels.TO_GPU if extra == "gpu" else f"pip install 'strizh[{extra}]'"
        yield f"                  {extra} lacks {missing}: {remedy}"
    if "choice" in found:
        yield ""
        yield found["choice"]
    yield ""
    yield from (f"WRONG: {problem}" for problem in found["problems"])
    if not found["problems"]:
        yield "Nothing is wrong."


_NO_KERNELS = "not built, so cpu-* variants cannot run; with a C++ compiler, run: pip install --force-reinstall strizh"


def _extras() -> Iterator[tuple[str, list[str]]]:
    """Each extra for users with the packages it still lacks."""
    needs: dict[str, list[str]] = {}
    for requirement in metadata.requires("strizh") or ():
        parts = re.match(r"""([\w.-]+).*; extra == ["'](\w+)["']""", requirement)
        if parts and parts[2] != "test":
            missing = parts[1] != "strizh" and not _version(parts[1])
            needs.setdefault(parts[2], []).extend([parts[1]] if missing else [])
    yield from needs.items()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
