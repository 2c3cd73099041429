"""Files that engines need, made once for each model and kept in `build/`: one maker a module.

A name says how a file comes about: `torch.onnx` is made by `torch.py`, `torch.nncf_int8.xml` from that by `nncf_int8.py`,
`bundle.cpu-bf16` by `bundle.py`. A maker holds `ENVIRONMENT`, `key(source)`, which changes when the file has to be made
again, and `make(model, source, path)`, which runs in the environment.
"""

import hashlib
import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Make = Callable[[str, str, str | None, Path], None]  # maker's name, its environment, source, path


def ensure(name: str, folder: Path, make: Make) -> Path:
    """Path of the file `name` in `folder`, made with `make` if it is absent or out of date."""
    first, *rest = name.split(".")
    derived = first != "bundle" and len(rest) > 1
    maker = rest[0] if derived else first
    source = str(ensure(f"{first}.onnx", folder, make)) if derived else rest[0]
    module = importlib.import_module(f"{__name__}.{maker}")
    path, ledger = folder / name, folder / "made.json"
    made: dict[str, Any] = json.loads(ledger.read_text()) if ledger.exists() else {}
    key = module.key(source)
    if made.get(name) != key or not path.exists():
        if path.is_dir():
            shutil.rmtree(path)
        folder.mkdir(parents=True, exist_ok=True)
        make(maker, module.ENVIRONMENT, source, path)
        ledger.write_text(json.dumps(made | {name: key}, indent=1))
    return path


def hash_of(*paths: Path) -> str:
    """One hash over the contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
