"""`strizh verify BUNDLE [--against CHECKPOINT]`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from strizh.export.recipes import promise_of
from strizh.runtime.bundle import Bundle
from strizh.runtime.commands.arguments import names, refuse_unknown
from strizh.runtime.errors import DeviceError

HELP = "check a bundle's hashes and its vectors at every length, and store the report in it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `strizh verify`."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder written by strizh export")
    parser.add_argument("--against", metavar="CHECKPOINT",
                        help="compare with this checkpoint in PyTorch, extra 'trace' (default: its own float32)")  # fmt: skip
    parser.add_argument("--variants", metavar="A,B", type=names,
                        help="only these (default: all that run on this machine)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Check, print, store. Exit status 1 where a promise is missed."""
    from strizh.export.manifest import add_figures

    bundle = Bundle(arguments.bundle)
    bundle.verify(bundle.manifest.files)
    report = _check(bundle, arguments)
    missed = {name: _misses(bundle, name, figures) for name, figures in report.items()}
    manifest = bundle.manifest
    if arguments.json:
        print(json.dumps({"files": len(manifest.files), "variants": report, "missed": missed}, indent=2))
    else:
        _print(manifest.name, len(manifest.files), report, missed)
    try:
        add_figures(arguments.bundle, "grid", report)
    except OSError as error:  # a bundle on a medium that cannot be written is checked all the same
        why = f"{arguments.bundle} cannot be written ({error.strerror or error})"
        print(f"note: the report is not kept: {why}. To keep it, verify a copy in a place of yours", file=sys.stderr)
    return 1 if any(missed.values()) else 0


def _misses(bundle: Bundle, name: str, figures: dict[str, Any]) -> list[str]:
    """What the variant promises and the grid, on any instruction set, does not give."""
    from strizh.export.parity import Figures

    worst = min([figures["cosine_min"], *figures.get("cosine_by_instruction_set", {}).values()])
    figures = figures | {"cosine_min": worst}

    promise = promise_of(name, bundle.manifest.variants[name].details)
    return Figures(**{field.name: figures[field.name] for field in dataclasses.fields(Figures)}).misses(promise)


def _check(bundle: Bundle, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    from strizh.export.baseline import of_checkpoint, own_float32
    from strizh.export.instruction_sets import on_instruction_sets
    from strizh.export.token_parity import TokenHeads
    from strizh.export.verify import (
        check_prompts,
        grid,
        known_sentences,
        lengths,
        rank_agreement,
        sentences_of,
        summary,
        texts_of,
    )
    from strizh.runtime import choose, host

    manifest, folder, machine = bundle.manifest, bundle.folder, host.probe()
    asked = arguments.variants or list(manifest.variants)
    refuse_unknown(asked, manifest.variants)
    found = of_checkpoint(arguments.against, folder, manifest) if arguments.against else own_float32(folder, manifest)
    against, texts = found.name if found else "itself alone", texts_of(folder, lengths(manifest))
    sentences = sentences_of(folder, manifest.max_length)
    expected, near = (found.vectors(texts), found.vectors(sentences)) if found else (None, None)
    words = known_sentences(folder) if manifest.sparse or manifest.multi_vector else []
    heads = found.token_heads(words) if found and words else None
    report: dict[str, dict[str, Any]] = {}
    for name in asked:
        if not arguments.variants and (why := choose.why_not(manifest.variants[name], machine, manifest.engines)):
            print(f"{name}: not checked, it {why}", file=sys.stderr)
            continue
        try:
            cells, refused = grid(folder, name, texts, expected)
        except DeviceError as error:
            if arguments.variants:
                raise
            print(f"{name}: not checked: {error}", file=sys.stderr)
            continue
        longest = max(cell.length for cell in cells)
        prompts = check_prompts(folder, name, manifest, longest)
        taken = [row for row, text in enumerate(sentences) if len(text) <= longest]
        neighbours = None
        if near is not None and taken:
            neighbours = rank_agreement(folder, name, [sentences[row] for row in taken], near[taken])
        report[name] = summary(cells, against, neighbours, refused) | {"prompts": prompts}
        if heads and taken:  # `words` are the texts of `sentences`
            of_tokens = TokenHeads.of_variant(folder, name, [words[row] for row in taken])
            report[name] |= of_tokens.against(heads.take(taken)) | {"token_texts": len(taken)}
        elif heads:
            short = f"no text of ours is of {longest} tokens or fewer"
            print(f"{name}: its heads of tokens are not checked, {short}", file=sys.stderr)
        if manifest.variants[name].target == "cpu":
            int8 = manifest.variants[name].precision == "int8"
            report[name] |= on_instruction_sets(folder, name, texts, expected, emulate_amx=int8)
    return report


def _print(name: str, files: int, report: dict[str, dict[str, Any]], missed: dict[str, list[str]]) -> None:
    print(f"{name}: {files} files, every SHA-256 right")
    for variant, figures in report.items():
        print(f"\n{variant} against {figures['against']}, {figures['texts']} cells of length x company")
        cosines = (figures[f"cosine_{name}"] for name in ("min", "p1", "mean"))
        print("  cosine      {:.9f} at worst, {:.9f} at the first percentile, {:.9f} on average".format(*cosines))
        if (agreement := figures["rank_agreement"]) is not None:
            print(f"  neighbours  {agreement:.1%} of the ten nearest to each of our sentences are the same")
        print(f"  largest difference of unit vectors  {figures['max_abs']:.1e}")
        effect = figures["batch_effect"]
        print(f"  moved by its neighbours             {f'{effect:.1e}' if effect else 'not by one bit'}")
        if (error := figures["sparse_error"]) is not None:
            print(f"  term weights off by {error:.1e} of the largest, over {figures['token_texts']} texts")
        if (cosine := figures["colbert_cosine_min"]) is not None:
            print(f"  ColBERT vectors' cosine {cosine:.9f} at worst, over {figures['token_texts']} texts")
        print(f"  prompts     {', '.join(figures['prompts']) or 'none'}")
        print(
            "  tokens      "
            + "  ".join(f"{length}:{1 - cosine:.0e}" for length, cosine in figures["cosine_by_length"].items())
        )
        print("              (1 - cosine at worst, by length)")
        if refused := figures.get("refused"):
            print(f"  REFUSED     {', '.join(refused)} tokens: {next(iter(refused.values()))}")
        if by_set := figures.get("cosine_by_instruction_set"):
            print("  on          " + "  ".join(f"{name}:{1 - cosine:.0e}" for name, cosine in by_set.items()))
            apart = f"1 - cosine {1 - figures['between_instruction_sets']:.1e} at worst"
            if len(by_set) > 1:
                print(f"              (between any two of them {'the same bits' if figures['same_bits'] else apart})")
        for miss in missed[variant]:
            print(f"  MISSED      {miss}")
