"""`strizh inspect`: what a bundle is, for a person or, with --json, for a program."""

import argparse
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_WIDTH = 100
# What a stranger's manifest could redraw the page with.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NO_BREAK = "\N{NO-BREAK SPACE}"
HELP = "describe a bundle: model, limits, prompts, variants, parity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="folder written by strizh export")
    parser.add_argument("--json", action="store_true", help="the manifest as it is")


def run(args: argparse.Namespace) -> int:
    from strizh.runtime.manifest import read_manifest

    manifest = read_manifest(Path(args.bundle))
    if args.json:
        print(manifest.to_json(), end="")
    else:
        for line in _page(json.loads(manifest.to_json())):
            print(_CONTROL.sub(lambda found: ascii(found[0])[1:-1], line))
    return 0


def _page(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield f"{manifest['name']} — a bundle of format {manifest['format_version']}, made by {manifest['producer'] or 'unknown'}"
    yield ""
    yield from _facts(
        {
            "source": manifest["source"],
            "licence": manifest["license"] or "not stated by the checkpoint",
            **dict(_architecture(manifest["spec"])),
            "vector": f"{manifest['dimension']} numbers, {manifest['pooling']} pooling, "
            + ("length 1" if manifest["normalize"] else "not normalised"),
            "longest text": f"{manifest['max_length']:,} tokens",
            "labels": ", ".join(manifest["labels"]),
            "vocabulary": _vocabulary(manifest["vocabulary"]),
        }
    )
    if manifest["prompts"]:
        yield from _section("prompts")
        for name, text in manifest["prompts"].items():
            default = "   (default)" if name == manifest["default_prompt_name"] else ""
            yield f"  {name:<12}  {json.dumps(text, ensure_ascii=False)}{default}"
    yield from _section("variants")
    yield from _table(["", "precision", "size", "graph"], _variants(manifest))
    for name, variant in manifest["variants"].items():
        yield ""
        yield from (line for key, value in variant["details"].items() for line in _detail(name, key, value))
    if manifest.get("engines"):
        yield from _section("engines of TensorRT")
        yield from _table(["shapes", "graph", "TensorRT", "for", "size"], _engines(manifest))
    if manifest["parity"]:
        yield from _section("parity with the checkpoint's own model")
        yield from parity_table(manifest["parity"])
    if manifest["warnings"]:
        yield from _section("warnings")
        yield from (f"  {warning}" for warning in manifest["warnings"])


def parity_table(parity: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One line a measurement, one column a figure; what has a figure for each length is in the manifest only."""
    rows = dict(_measurements(parity))
    columns = dict.fromkeys(key for figures in rows.values() for key, value in figures.items() if value is not None)
    heads = ["", *(column.replace("_", " ") for column in columns)]
    return _table(heads, ([name, *(_plain(figures.get(key)) for key in columns)] for name, figures in rows.items()))


def _measurements(parity: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The export's own check of each variant, and beside it what strizh verify has added."""
    for variant, figures in parity.items():
        yield variant, {name: value for name, value in figures.items() if not isinstance(value, dict | list)}
        for check, more in figures.items():
            if isinstance(more, dict):
                plain = {name: value for name, value in more.items() if not isinstance(value, dict | list)}
                yield f"{variant}, {check}", plain


def _architecture(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The spec in two lines; a spec of other shape is shown by its plain fields."""
    try:
        yield "model", (
            f"{spec['family']}, {len(spec['layers'])} layers × {spec['hidden_size']}, {spec['num_heads']} heads of "
            f"{spec['head_size']}, feed-forward {spec['intermediate_size']:,}, vocabulary {spec['vocab_size']:,}"
        )
        yield "positions", _positions(spec)
    except (KeyError, TypeError, ValueError, AttributeError):
        yield "model", ", ".join(f"{name} {value}" for name, value in spec.items() if isinstance(value, str | int | float))


def _positions(spec: Mapping[str, Any]) -> str:
    rope = next((layer["rope"] for layer in spec["layers"] if layer["rope"]), None)
    if not rope:
        return f"{spec['positions'].replace('_', ' ')}, {spec['max_positions']:,} trained"
    scaled = "unscaled" if rope["scaling"] == "none" else f"{rope['scaling']} scaling × {rope['factor']:g}"
    return f"rotary, theta {rope['theta']:g}, {spec['max_positions']:,} trained, {scaled}"


def _vocabulary(cut: Mapping[str, Any] | None) -> str:
    return f"cut to {cut['tokens']:,} of {cut['of']:,} tokens, for {', '.join(cut['kept_for'])}" if cut else ""


def _variants(manifest: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, variant in manifest["variants"].items():
        size = sum(manifest["files"][file]["size"] for file in (variant["file"], *variant["data"]))
        yield [name, variant["precision"], f"{size / 1e6:,.1f} MB", variant["file"]]


def _engines(manifest: Mapping[str, Any]) -> Iterator[list[str]]:
    from strizh.runtime.engines import Profile

    for engine in manifest["engines"]:
        shapes = str(Profile(**engine["profile"]))
        gpu = engine["gpu"] or f"compute capability {', '.join(engine['capabilities'])}"
        size = f"{manifest['files'][engine['file']]['size'] / 1e6:,.1f} MB"
        yield [shapes, engine["graph"], engine["version"], gpu, size + (", stripped" if engine["stripped"] else "")]


def _detail(variant: str, name: str, value: Any) -> Iterator[str]:
    """One fact of a variant, such as the number of its nodes of each kind, over as many lines as it needs."""
    line = f"{variant} {name.replace('_', ' ')}: {_plain(value)}"
    for part in textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="    "):
        yield part.replace(_NO_BREAK, " ")


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.7f}" if abs(value) >= 0.1 else f"{value:.1e}"
    if isinstance(value, dict):
        return ", ".join(f"{key}{_NO_BREAK}{_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value)


def _facts(facts: Mapping[str, str]) -> Iterator[str]:
    return (f"{name:<14}{value}" for name, value in facts.items() if value)


def _section(title: str) -> Iterator[str]:
    yield ""
    yield title


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield ("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))).rstrip()
