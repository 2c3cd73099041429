"""Every family at the size of its published checkpoints: exported in every variant, and compared with transformers."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

import strizh
from benchmarks import environments, tables
from benchmarks.names import choose as choose_names
from benchmarks.published import PUBLISHED
from benchmarks.published_checkpoint import write_published
from benchmarks.suites import Settings, blank
from benchmarks.summary import Row
from strizh.export import export_model
from strizh.export.baseline import of_checkpoint
from strizh.export.parity import Figures, compare
from strizh.export.recipes import RECIPES, find_recipe
from strizh.runtime import choose, host
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import Error

HELP = (
    "parity with transformers and size of every variant at every published shape, random weights (--engines: variants)"
)
MODELS = tuple(PUBLISHED)
HEEDS = ("engines",)
LENGTHS = (3, 9, 17, 40, 64, 130, 200, 300)  # tokens: within every window, and beyond
NOTES = (
    "random weights at the published shapes; lowest cosine to transformers in float32 (each text alone) over texts of "
    f"{', '.join(map(str, LENGTHS))} tokens drawn over the whole vocabulary, in one batch",
    "GTE, EuroBERT, Qwen3 and ModernBERT have output products drawn smaller, by the root of twice their layers, as GPT-2 and "
    "ModernBERT begin, and the T5 encoder has embeddings of deviation 1, as T5 begins; otherwise bfloat16 is worse (Qwen3 of a "
    "few layers 0.99928; of width 384, as deep as published: ModernBERT 0.999940 instead of 0.999993, T5 0.999864 instead of "
    "0.999884), and their published weights were not at hand",
    "int8 is planned on sentences and measured on tokens that it has not seen: a published checkpoint's own figures are in its "
    "bundle's manifest",
)
_SPECIAL = 5  # ids below it have a meaning


def run(settings: Settings) -> dict[str, Any]:
    """Nothing is timed. One model at a time, one float variant at a time: the largest take 3.3 GB on disk each."""
    result = blank(settings)
    result["versions"] = {name: version(name) for name in ("strizh", "onnxruntime", "torch", "transformers")}
    environments.HOME.mkdir(parents=True, exist_ok=True)
    variants = _variants(settings, result)
    for name in choose_names("published shape", settings.models, list(PUBLISHED), lambda name: (name,)):
        with tempfile.TemporaryDirectory(dir=environments.HOME) as folder:
            _one(name, variants, Path(folder), settings, result)
    return result


def show(result: dict[str, Any]) -> list[str]:
    """One table."""
    return [_table(result["rows"])]


def _one(name: str, variants: Sequence[str], folder: Path, settings: Settings, result: dict[str, Any]) -> None:
    shape, checkpoint = PUBLISHED[name], folder / "checkpoint"
    settings.say(f"{name}: writing the checkpoint")
    parameters = write_published(checkpoint, shape)
    result["models"][name] = {"family": shape.family, "checkpoints": shape.names, "parameters": parameters}
    draw = np.random.default_rng(0)
    texts = [draw.integers(_SPECIAL, shape.config["vocab_size"], length).tolist() for length in LENGTHS]
    expected, waiting = None, _together(variants)
    while waiting:
        group = waiting.pop(0)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            settings.say(f"{name}: {', '.join(group)}")
            bundle, started = Path(place) / "bundle", monotonic()
            try:
                # The comparison below is with transformers itself: the export's own would only repeat it.
                manifest = export_model(checkpoint, bundle, variants=group, verify=False)
            except Error as error:
                if len(group) > 1:  # the family may have some of them
                    waiting += [[variant] for variant in group]
                else:
                    result["absent"].append({"model": name, "contender": group[0], "why": str(error)})
                continue
            seconds = monotonic() - started
            if expected is None:
                expected = of_checkpoint(str(checkpoint), bundle, manifest).vectors(texts)
            for variant in group:
                with strizh.load(bundle, variant=variant, threads=settings.threads) as encoder:
                    figures = compare(encoder.encode_tokens(PackedBatch.pack(texts)), expected, "transformers")
                entry = manifest.variants[variant]
                size = sum((bundle / file).stat().st_size for file in (entry.file, *entry.data))
                result["rows"].append(
                    {"model": name, "family": shape.family, "variant": variant, "parity": asdict(figures)}
                    | {"bytes": size, "export_seconds": round(seconds, 1)}
                )
                misses = figures.misses(find_recipe(variant).promise)
                result["failures"] += [f"{name}: {variant}: {line}" for line in misses]


def _together(variants: Sequence[str]) -> list[list[str]]:
    """What is exported at once: those in int8, which are calibrated once, and each of the others alone."""
    int8 = [name for name in variants if find_recipe(name).int8]
    return [*([name] for name in variants if name not in int8), *([int8] if int8 else [])]


def _variants(settings: Settings, result: dict[str, Any]) -> list[str]:
    """Those asked for that this machine can run."""
    asked = choose_names("variant", settings.engines, list(RECIPES), lambda name: (name,))
    here = host.probe()
    obstacles = {name: choose.obstacle(find_recipe(name).target, here) for name in asked}
    for name, why in obstacles.items():
        line = {"model": "every", "contender": name, "why": why}
        result["absent"] += [line] if why and line not in result["absent"] else []
    return [name for name in asked if not obstacles[name]]


def _table(rows: Sequence[Row]) -> str:
    heads = ("", "cosine min", "mean", "max abs", "MiB", "export, s")
    lines = [
        (
            f"{row['model']} ({row['family']}): {row['variant']}",
            f"{row['parity']['cosine_min']:.7f}",
            f"{row['parity']['cosine_mean']:.7f}",
            f"{row['parity']['max_abs']:.1e}",
            f"{row['bytes'] / 2**20:,.0f}",
            f"{row['export_seconds']:.0f}",
        )
        for row in rows
    ]
    return tables.table(heads, lines)


def markdown(results: Mapping[str, dict[str, Any]]) -> str:
    """One table of all results of this suite, file name -> result: a shape a line, a variant a column."""
    rows = [row for result in results.values() for row in result["rows"]]
    models = {name: facts for result in results.values() for name, facts in result["models"].items()}
    variants = [name for name in RECIPES if any(row["variant"] == name for row in rows)]
    cells = {(one["model"], one["contender"]): "none" for result in results.values() for one in result["absent"]}
    cells |= {(row["model"], row["variant"]): _cell(row) for row in rows}
    places = dict.fromkeys(_machine(result) for result in results.values())
    lines = [*(f"{place}  " for place in places), *(f"{note[0].upper()}{note[1:]}.  " for note in NOTES), ""]
    lines += [
        f"| family | checkpoints | parameters | {' | '.join(variants)} |",
        f"|---|---|---:|{'---|' * len(variants)}",
    ]
    for name in sorted(models, key=list(PUBLISHED).index):
        facts = models[name]
        found = " | ".join(cells.get((name, variant), "-") for variant in variants)
        checkpoints = ", ".join(PUBLISHED[name].names)  # those of this shape today
        lines.append(f"| {facts['family']} | {checkpoints} | {facts['parameters'] / 1e6:,.0f} M | {found} |")
    return "\n".join(lines)


def _cell(row: Row) -> str:
    figures = Figures(**row["parity"])
    mark = "**missed** " if figures.misses(find_recipe(row["variant"]).promise) else ""
    # Rounded down: 1.000000 would claim what float32 does not give.
    worst = math.floor(figures.cosine_min * 1e6) / 1e6 if figures.cosine_min < 1 - 5e-7 else 1.0
    return f"{mark}{worst:.6f}, {row['bytes'] / 2**20:,.0f} MiB"


def _machine(result: dict[str, Any]) -> str:
    here = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"**{here['cpu']}**, {here['cores']} cores, {here['memory_gib']} GiB, {' '.join(here['flags'])}; {versions}"
