"""`strizh build-engine BUNDLE --profiles ...`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from strizh.runtime.commands.arguments import names

if TYPE_CHECKING:
    from strizh.runtime.engines import Engine
    from strizh.runtime.manifest import Manifest

HELP = "build TensorRT's engines of a bundle ahead of time, so that none is built when it is loaded or asked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `strizh build-engine`."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", type=Path, help="folder written by strizh export; engines are added to it"
    )
    parser.add_argument("--profiles", metavar="TxN,...", default="default",
                        help="shapes, each the most texts x tokens of a batch, such as 1x64,8x64..32x128 (tuned for 8x64), "
                        "or a grid: default, queries, passages (default: default)")  # fmt: skip
    parser.add_argument("--variants", metavar="A,B", type=names, default=[],
                        help="only these (default: every tensorrt variant that the bundle has)")  # fmt: skip
    parser.add_argument("--builder", choices=("tensorrt", "tensorrt-rtx"),
                        help="tensorrt, for the GPU here, or tensorrt-rtx, without it (default: what is installed)")  # fmt: skip
    parser.add_argument("--gpus", metavar="C,D", type=names, default=[],
                        help="compute capabilities that tensorrt-rtx builds for (default: 8.0,8.6,8.9,12.0)")  # fmt: skip
    parser.add_argument("--strip-weights", action="store_true",
                        help="engines without weights, which are taken from the graph (tensorrt)")  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="drop all engines that the bundle has")


def run(arguments: argparse.Namespace) -> int:
    """Build, and say what was built."""
    from strizh.export.engines.builder import find_builder
    from strizh.export.engines.profiles import parse_profiles
    from strizh.export.engines.store import build_engines
    from strizh.runtime.manifest import read_manifest

    profiles = parse_profiles(arguments.profiles, read_manifest(arguments.bundle).max_length)
    builder = find_builder(arguments.builder, arguments.gpus)
    for_what = f"{builder.gpu.name} and its driver" if builder.gpu else f"GPUs of {', '.join(builder.capabilities)}"
    print(f"TensorRT {builder.version}, for {for_what}; run by {builder.provider}", flush=True)
    engines = build_engines(
        arguments.bundle,
        arguments.variants,
        profiles,
        builder,
        strip=arguments.strip_weights,
        replace=arguments.replace,
        step=lambda what: print(f"  {what}", flush=True),
    )
    manifest = read_manifest(arguments.bundle)
    longest = min(_reach(manifest, engine) for engine in engines)
    if longest < manifest.max_length:
        print(f"note: texts above {longest} tokens have no engine, and are refused where these run")
    return 0


def _reach(manifest: "Manifest", engine: "Engine") -> int:
    """Tokens that the engines of the same graph take, with all that run where this one does: they share its folder."""
    place = Path(engine.file).parent
    return max(
        one.profile.tokens for one in manifest.engines if one.graph == engine.graph and Path(one.file).parent == place
    )
