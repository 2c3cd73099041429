"""Helpers: a small model's spec and weights, and padded graphs run in ONNX Runtime."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from strizh.export.checkpoint import read_checkpoint
from strizh.export.families import find_family
from strizh.export.options import Options, plan
from strizh.export.spec import EncoderSpec
from strizh.export.weights import Array, bind

Load = Callable[..., tuple[EncoderSpec, Mapping[str, Array]]]
RunPadded = Callable[[onnx.ModelProto, Sequence[Sequence[int]]], list[np.ndarray]]


@pytest.fixture
def load(make_checkpoint: Callable[..., Path]) -> Load:
    """`load(kind, config=..., change=...)`: spec and weights of a small random checkpoint."""

    def make(kind: str = "ropebert", **options: Any) -> tuple[EncoderSpec, Mapping[str, Array]]:
        checkpoint = read_checkpoint(make_checkpoint(kind, **options))
        family = find_family(checkpoint)
        spec = plan(checkpoint, family.describe(checkpoint), Options(normalize=True)).spec
        return spec, bind(checkpoint, spec, family.sources(checkpoint, spec), family.IGNORED)[0]

    return make


@pytest.fixture
def run_padded() -> RunPadded:
    """`run_padded(model, texts)`: token embeddings and sentence embeddings of one padded batch."""

    def run(model: onnx.ModelProto, texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        longest = max(map(len, texts))
        ids = np.array([[*text, *[1] * (longest - len(text))] for text in texts], np.int64)
        mask = np.array([[1] * len(text) + [0] * (longest - len(text)) for text in texts], np.int64)
        feed = {"input_ids": ids, "attention_mask": mask}
        found: list[np.ndarray] = session.run(["token_embeddings", "sentence_embedding"], feed)
        return found

    return run


@pytest.fixture
def texts() -> list[list[int]]:
    """Token ids of texts of 1 to 32 tokens."""
    generator = np.random.default_rng(3)
    return [generator.integers(4, 40, length).tolist() for length in (1, 2, 5, 11, 17, 23, 32)]
