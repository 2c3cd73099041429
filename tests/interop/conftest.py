"""Makes `benchmarks` importable, which knows the environments: it is no part of the installed package."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.path.insert(0, str(ROOT))
import benchmarks  # noqa: E402, F401

# The root must not stay on the path: its folders would be importable under their bare names.
sys.path.remove(str(ROOT))
