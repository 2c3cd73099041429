"""Makes the encoders of this folder importable, whose names the tests are parametrised with."""

import sys
from pathlib import Path

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
try:
    import small_encoders  # noqa: F401
finally:
    sys.path.remove(HERE)
