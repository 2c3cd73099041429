"""`strizh export SOURCE --output BUNDLE`."""

import argparse
import sys
from pathlib import Path

from strizh.export.recipes import INT8_RECIPES, RECIPES
from strizh.export.spec import Pooling
from strizh.runtime.commands.arguments import names

HELP = "turn a checkpoint into a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `strizh export`."""
    parser.add_argument("source", metavar="SOURCE", help="a checkpoint's folder, or its hub id (needs the extra 'hub')")
    parser.add_argument("-o", "--output", metavar="BUNDLE", required=True, type=Path,
                        help="the bundle's folder, which must not exist yet")  # fmt: skip
    parser.add_argument("--variants", metavar="A,B", type=names,
                        help=f"of: {', '.join(RECIPES)} (default: portable-fp32, and cpu-bf16 where its kernels are built "
                        "and can compute the model)")  # fmt: skip
    parser.add_argument("--rope-scaling", metavar="S", help="none, linear:F or dynamic:F (default: the config's)")
    parser.add_argument("--ntk-length", choices=("text", "batch"), default="text",
                        help="the length that dynamic scaling sees (default: text)")  # fmt: skip
    parser.add_argument("--pooling", metavar="P",
                        help=f"of: {', '.join(Pooling)}; several with + (default: the checkpoint's)")  # fmt: skip
    parser.add_argument("--normalize", action=argparse.BooleanOptionalAction,
                        help="unit vectors, or vectors as they are pooled (default: as the modules say)")  # fmt: skip
    parser.add_argument("--max-length", metavar="N", type=int,
                        help="longest text in tokens, special tokens included (default: the checkpoint's)")  # fmt: skip
    parser.add_argument("--keep-languages", metavar="ru,en|texts.jsonl", type=names, default=(),
                        help="cut the vocabulary to what these languages or files of texts (.txt, .jsonl) need")  # fmt: skip
    parser.add_argument("--task", metavar="T", help="merge this task's adapter into the weights (jina-embeddings-v3)")
    parser.add_argument("--verify", action=argparse.BooleanOptionalAction, default=True,
                        help="check parity before writing (default: yes)")  # fmt: skip
    parser.add_argument("--method", choices=("build", "trace"), default="build",
                        help="trace: for encoders without a family, by PyTorch (default: build)")  # fmt: skip
    parser.add_argument("--calibration", metavar="FILE", type=Path,
                        help="texts (.txt, .jsonl, .csv, .parquet) for int8 and fp16 (default: our own)")  # fmt: skip
    parser.add_argument("--recipe", choices=tuple(INT8_RECIPES),
                        help="how portable-int8 is made (default: any-cpu, which saturates nowhere)")  # fmt: skip
    parser.add_argument("--quality-floor", metavar="C", type=float,
                        help="mean cosine that int8 variants must keep; layers stay in float until they do")  # fmt: skip
    parser.add_argument("--embeddings", choices=("float", "int8"), default="float",
                        help="int8: word embeddings in int8, a scale for each row (default: float)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace a bundle; keep one that misses its promise")


def run(arguments: argparse.Namespace) -> int:
    """Export, then say what was made."""
    from tqdm import tqdm

    from strizh.export.exporter import default_variants, export_model
    from strizh.export.quantize.quantizer import Quantizing
    from strizh.export.vocabulary.report import summary

    variants, keep = arguments.variants, arguments.keep_languages
    steps = 2 + bool(keep) + 2 * len(variants or default_variants())
    with tqdm(
        total=steps, file=sys.stderr, disable=not sys.stderr.isatty(), bar_format="{l_bar}{bar}| {elapsed}"
    ) as bar:

        def step(what: str) -> None:
            bar.set_description(what)
            bar.update()

        manifest = export_model(
            arguments.source,
            arguments.output,
            variants=variants,
            rope_scaling=arguments.rope_scaling,
            task=arguments.task,
            keep_languages=keep,
            ntk_length=arguments.ntk_length,
            pooling=arguments.pooling,
            normalize=arguments.normalize,
            max_length=arguments.max_length,
            verify=arguments.verify,
            force=arguments.force,
            method=arguments.method,
            quantizing=Quantizing(
                calibration=arguments.calibration,
                recipe=arguments.recipe,
                quality_floor=arguments.quality_floor,
                embeddings=arguments.embeddings,
            ),
            step=step,
        )
    print(f"{arguments.output}: {manifest.name}, {manifest.dimension} dimensions, up to {manifest.max_length} tokens")
    for name, variant in manifest.variants.items():
        size = sum(manifest.files[file].size for file in (variant.file, *variant.data)) / 1e6
        figures = manifest.parity.get(name)
        proof = (
            f"cosine {figures['cosine_min']:.7f} at worst to {figures['against']}" if figures else "parity not checked"
        )
        print(f"  {name:14} {size:8.1f} MB   {proof}")
    if manifest.vocabulary:
        print(f"  vocabulary     {summary(manifest.vocabulary)}")
    for warning in manifest.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return 0
