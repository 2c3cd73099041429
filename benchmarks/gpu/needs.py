"""What the GPU benchmark cannot do without, and whether it is here: said in one go, before anything is built."""

import argparse
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module

# Of each package, what it is for. ONNX Runtime and TensorRT are no needs: what runs on them is left out without them.
_PACKAGES = {
    "torch": "the GPU is reached through it",
    "numpy": "the spec is evaluated in it",
    "onnx": "the exporter's graphs are made of it",
    "ml_dtypes": "bfloat16 in NumPy",
    "safetensors": "imported by the exporter",
    "tokenizers": "imported by the exporter",
}


def main() -> int:
    """Print what is missing, each with its cure. Status 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, without a GPU")
    missing = list(_missing(parser.parse_args().rehearse))
    for line in missing:
        print(f"MISSING: {line}")
    if not missing:
        print(f"Python {sys.version.split()[0]} with all of it")
    return 1 if missing else 0


def _missing(rehearse: bool) -> Iterator[str]:
    for package, use in _PACKAGES.items():
        try:
            import_module(package)
        except Exception as error:  # a wheel for another Python or another CUDA fails in its own ways
            reason = " ".join(str(error).split())[:200]
            yield f"{package} ({use}): {reason}. Put its wheel into benchmarks/gpu/wheels/, or name a Python that has it"
    if rehearse:
        if not shutil.which("g++"):
            yield "g++, which emulates the CUDA operators"
    elif why := _no_gpu():
        yield why


def _no_gpu() -> str:
    try:
        import torch
    except Exception:  # `_missing` has named torch already, with what its import raised
        return ""
    if torch.cuda.is_available():
        return ""
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    return (
        f"a GPU that torch sees: torch {torch.__version__} is {built} and finds none. Look at nvidia-smi; "
        "--rehearse goes through every step without one"
    )


if __name__ == "__main__":
    raise SystemExit(main())
