"""The shape that the README's map promises: imports go one way, and a file fits in the head."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("export", "runtime", "kernels")
SOURCES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*") if path.suffix in (".py", ".cpp", ".h", ".cu"))
PYTHON = [path for path in SOURCES if path.suffix == ".py"]
LONGEST = 350  # lines


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = path.relative_to(ROOT).parts[0]
    above = PARTS[: PARTS.index(part)]
    names = imported(path)
    assert not {name for name in names for upper in above if f"{name}.".startswith(f"strizh.{upper}.")}
    assert not {name for name in names if name.partition(".")[0] in PARTS}, "import strizh.…, or every class is there twice"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_in_the_head(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_running_a_bundle_needs_neither_the_export_half_nor_its_tools(tmp_path):
    script = """
import sys
import strizh
strizh.load, strizh.Encoder
heavy = {"torch", "transformers", "onnx", "safetensors", "ml_dtypes", "strizh.export"} & set(sys.modules)
sys.exit(f"strizh.load imported {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
