"""Makes the modules of this folder importable that tests share: encoders, by whose names they are parametrised, and sessions."""

import sys
from pathlib import Path

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
try:
    import packed_sessions  # noqa: F401
    import small_encoders  # noqa: F401
finally:
    sys.path.remove(HERE)
