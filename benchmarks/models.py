"""A model that is measured: a checkpoint folder, given or written from a geometry, and the files made of it."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments, files
from benchmarks.errors import UnknownName
from benchmarks.geometries import GEOMETRIES, is_written, write_checkpoint
from benchmarks.workers import Worker
from benchmarks.workloads import Case, passage_lengths

_CALIBRATION_TEXTS = 128
_DECISIVE = (".safetensors", ".bin", ".json", ".model", ".txt")  # of a checkpoint's files


@dataclass(frozen=True, slots=True)
class Model:
    """`real`: its weights were trained, so that parity and quality mean something."""

    name: str
    checkpoint: Path
    folder: Path
    real: bool
    config: dict[str, Any]

    @property
    def longest(self) -> int:
        """Longest text in tokens: what its files ask for, where that is less than it has positions."""
        positions = int(self.config["max_position_embeddings"]) - (2 if self.config.get("model_type") != "bert" else 0)
        path = self.checkpoint / "sentence_bert_config.json"
        asked = json.loads(path.read_text(encoding="utf-8")).get("max_seq_length") if path.is_file() else None
        return min(positions, asked or positions)

    @property
    def vocab_size(self) -> int:
        """Ids are below it."""
        return int(self.config["vocab_size"])

    def facts(self) -> dict[str, Any]:
        """What stands in the results. No path: it would be this machine's."""
        shape = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
        return {"real": self.real, "shape": {key: self.config[key] for key in shape}}

    def describe(self) -> dict[str, Any]:
        """What a worker is told."""
        pad = int(self.config.get("pad_token_id") or 0)
        return {
            "checkpoint": str(self.checkpoint),
            "files": str(self.folder),
            "pad_token_id": pad,
            "max_length": self.longest,
        }

    def ensure(self, name: str, threads: int, environment: str | None = None) -> Path:
        """Make one of the model's files if it is not there, in `environment` or the maker's own. Raises `EngineError`."""

        def make(maker: str, usual: str, source: str | None, path: Path) -> None:
            worker = Worker(environment or usual, threads)
            try:
                worker.ask("make", maker=maker, model=self.describe(), source=source, path=str(path))
            finally:
                worker.close()

        return files.ensure(name, self.folder, make)


def find(name: str) -> Model:
    """A geometry by name, or a checkpoint by its folder. Raises `UnknownName`.

    What is made of a checkpoint, and the vectors that others are compared with, lie in a folder that its content names:
    another checkpoint at the same path begins with nothing.
    """
    home = environments.HOME / "models"
    if name in GEOMETRIES:
        folder = home / name
        checkpoint = folder / "checkpoint"
        if not is_written(checkpoint, GEOMETRIES[name]):
            shutil.rmtree(folder, ignore_errors=True)
            write_checkpoint(checkpoint, GEOMETRIES[name])
        return _model(name, checkpoint, folder, real=False)
    checkpoint = Path(name).resolve()
    if not (checkpoint / "config.json").is_file():
        raise UnknownName(f"{name} is neither one of {', '.join(GEOMETRIES)} nor a folder with config.json")
    return _model(checkpoint.name, checkpoint, home / f"{checkpoint.name}-{_content(checkpoint)}", real=True)


def find_all(names: Sequence[str]) -> list[Model]:
    """`find` for each: a name that nothing has is an error before the first of them is measured."""
    return [find(name) for name in names]


def _model(name: str, checkpoint: Path, folder: Path, *, real: bool) -> Model:
    folder.mkdir(parents=True, exist_ok=True)
    model = Model(name, checkpoint, folder, real, json.loads((checkpoint / "config.json").read_text(encoding="utf-8")))
    (folder / "calibration.json").write_text(json.dumps(_calibration(model)))
    return model


def _content(checkpoint: Path) -> str:
    """Names what the vectors come from: the weights, the tokenizer, and how the files say to run them."""
    paths = sorted(path for path in checkpoint.rglob("*") if path.suffix in _DECISIVE and path.is_file())
    names = " ".join(path.relative_to(checkpoint).as_posix() for path in paths)
    return hashlib.sha256(f"{names} {files.hash_of(*paths)}".encode()).hexdigest()[:16]


def _calibration(model: Model) -> list[list[int]]:
    """Token ids for quantisers that need some: strizh's own sentences where weights are real, else drawn ones."""
    if not model.real:
        lengths = tuple(min(length, 512) for length in passage_lengths(_CALIBRATION_TEXTS))
        return [ids.tolist() for ids in Case("calibration", lengths, "tokens/s").token_ids(model.vocab_size)]
    from tokenizers import Tokenizer

    from strizh.export.parity import parity_texts

    tokenizer = Tokenizer.from_file(str(model.checkpoint / "tokenizer.json"))
    tokenizer.no_padding()
    return [encoding.ids for encoding in tokenizer.encode_batch(parity_texts())]
