"""Engines of a bundle's graphs, built one after another and put beside them; the manifest vouches for each."""

import dataclasses
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from strizh.export.engines.builder import Builder
from strizh.export.engines.wrapper import wrap
from strizh.export.manifest_lock import locked
from strizh.runtime.bundle import Bundle
from strizh.runtime.cuda import dotted
from strizh.runtime.engines import Engine, Profile
from strizh.runtime.errors import BundleError, UsageError
from strizh.runtime.manifest import File, Variant, write_manifest
from strizh.runtime.tensorrt import RTX

FOLDER = "tensorrt/engines"
Step = Callable[[str], None]


def build_engines(
    folder: Path,
    variants: Sequence[str],
    profiles: Sequence[Profile],
    builder: Builder,
    *,
    strip: bool = False,
    replace: bool = False,
    step: Step = lambda what: None,
) -> tuple[Engine, ...]:
    """Build an engine of each graph of the variants for each profile, and write them and the manifest when all are there.

    `variants`: names, all of the tensorrt target; none means all that the bundle has. Engines of the same name are
    replaced, with `replace` all. `step` is told what was built.
    """
    bundle = Bundle(folder)
    if strip and builder.provider == RTX:
        raise UsageError(
            "TensorRT for RTX strips no weights without a GPU, and its provider refits engines of its own only."
        )
    graphs = [
        (graph, variant.data)
        for variant in _variants(bundle, variants)
        for graph in (variant.file, variant.classifier)
        if graph
    ]
    place, timing = f"{FOLDER}/{key_of(builder)}", b""
    if (cache := f"{place}/timing.cache") in bundle.manifest.files:
        bundle.verify([cache])
        timing = bundle.path(cache).read_bytes()
    made: list[Engine] = []
    with tempfile.TemporaryDirectory(prefix=".engines-", dir=folder) as partial:
        for graph, data in graphs:
            bundle.verify([graph, *data])
            for profile in profiles:
                engine = Engine(
                    graph=graph,
                    file=f"{place}/{Path(graph).stem}-{profile}.onnx",
                    provider=builder.provider,
                    version=builder.version,
                    capabilities=builder.capabilities,
                    gpu=builder.gpu.name if builder.gpu else None,
                    driver=builder.gpu.driver if builder.gpu else None,
                    profile=profile,
                    stripped=strip,
                )
                started = time.perf_counter()
                plan, timing = builder.build(bundle.path(graph), profile, timing, strip)
                model = wrap(bundle.path(graph), plan, engine)
                (Path(partial) / Path(engine.file).name).write_bytes(model.SerializeToString())
                made.append(engine)
                step(f"{engine.file}: {len(plan) / 1e6:.1f} MB in {time.perf_counter() - started:.1f} s")
        if timing:
            (Path(partial) / "timing.cache").write_bytes(timing)
        with locked(folder):
            _adopt(_as_it_is_now(bundle, graphs), place, Path(partial), made, replace)
    return tuple(made)


def key_of(builder: Builder) -> str:
    """The folder of engines that one machine takes or does not take together."""
    name = "tensorrt-rtx" if builder.provider == RTX else "tensorrt"
    gpu = f" {builder.gpu.name} cuda{dotted(builder.gpu.driver)}" if builder.gpu else ""
    return re.sub(r"[^\w.]+", "-", f"{name} {builder.version} {' '.join(builder.capabilities)}{gpu}")


def _variants(bundle: Bundle, names: Sequence[str]) -> list[Variant]:
    found = {name: one for name, one in bundle.manifest.variants.items() if one.target == "tensorrt"}
    if not found:
        raise UsageError(
            "this bundle has no tensorrt variant. Export it with --variants tensorrt-fp16 besides the others."
        )
    if wrong := [name for name in names if name not in found]:
        raise UsageError(f"variant {wrong[0]!r} is none that TensorRT builds; this bundle has {', '.join(found)}.")
    return [found[name] for name in names or found]


def _as_it_is_now(bundle: Bundle, graphs: Sequence[tuple[str, Sequence[str]]]) -> Bundle:
    """The bundle read again: builds take minutes to hours, in which others may have written its manifest."""
    now = Bundle(bundle.folder)
    for name in (one for graph, data in graphs for one in (graph, *data)):
        if now.manifest.files.get(name) != bundle.manifest.files[name]:
            raise BundleError(f"{name} was exported again while its engines were built. Build them again.")
    return now


def _adopt(bundle: Bundle, place: str, partial: Path, made: Sequence[Engine], replace: bool) -> None:
    """Move the new files to their place and have the manifest vouch for them; what it no longer names is removed."""
    manifest, folder = bundle.manifest, bundle.folder
    names = {engine.file for engine in made}
    kept = [] if replace else [engine for engine in manifest.engines if engine.file not in names]
    (folder / place).mkdir(parents=True, exist_ok=True)
    new = {f"{place}/{path.name}": File.of(path) for path in sorted(partial.iterdir())}
    for name in new:
        (partial / Path(name).name).replace(folder / name)
    files = manifest.files | new
    in_use = {engine.file for engine in kept} | set(new)
    gone = [name for name in files if replace and name.startswith(f"{FOLDER}/") and name not in in_use]
    files = {name: file for name, file in files.items() if name not in gone}
    changed = dataclasses.replace(manifest, engines=(*kept, *made), files=files)
    write_manifest(folder, changed)
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    for empty in [one for one in (folder / FOLDER).iterdir() if one.is_dir() and not any(one.iterdir())]:
        shutil.rmtree(empty)
