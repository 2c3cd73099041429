"""Vectors in fewer bits: the numbers of sentence-transformers' `quantize_embeddings`, whatever the way to them."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.util import quantize_embeddings as theirs

import strizh
from strizh.runtime import cli
from strizh.runtime.errors import UsageError
from strizh.runtime.precision import quantize_embeddings

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
TEXTS = ["the swift flies", "стриж летит быстрее всех птиц", "a b c", "query", "стриж", ""]


@given(seed=st.integers(0, 2**31), rows=st.integers(2, 40), wide=st.floats(0.1, 3))
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_numbers_of_sentence_transformers(precision: str, seed: int, rows: int, wide: float) -> None:
    generator = np.random.default_rng(seed)
    sample = generator.normal(size=(150, 16)).astype(np.float32)
    sample[:, 3] = 0.25  # a dimension without a range
    vectors = (wide * generator.normal(size=(rows, 16))).astype(np.float32)
    found = quantize_embeddings(vectors, precision, calibration_embeddings=sample)  # type: ignore[arg-type]
    expected = theirs(vectors, precision, calibration_embeddings=sample)  # type: ignore[arg-type]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = quantize_embeddings(vectors, precision)  # type: ignore[arg-type]
    np.testing.assert_array_equal(own, theirs(vectors, precision))  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_encode_stream_and_embed_agree(precision: str, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle, lines = make_bundle(), tmp_path / "texts.txt"
    lines.write_text("\n".join(TEXTS[:-1]) + "\n", encoding="utf-8")
    with strizh.load(bundle) as encoder:
        sample = encoder.encode(TEXTS)
        np.save(tmp_path / "sample.npy", sample)
        options = {"precision": precision, "calibration_embeddings": sample}
        found = encoder.encode(TEXTS[:-1], **options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, theirs(sample[:-1], precision, calibration_embeddings=sample))  # type: ignore[arg-type]
        (piece,) = encoder.encode_stream(TEXTS[:-1], **options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(piece.embeddings, found)
        np.testing.assert_array_equal(encoder.encode(TEXTS[0], **options), found[0])  # type: ignore[arg-type]
    for ending in ("npy", "jsonl", "parquet"):
        output = tmp_path / f"vectors.{ending}"
        command = ["embed", str(bundle), str(lines), "-o", str(output), "--precision", precision]
        calibration = ["--calibration", str(tmp_path / "sample.npy")] if precision.endswith("int8") else []
        assert cli.main([*command, *calibration]) == 0
        if ending == "npy":
            stored = np.load(output)
            assert stored.dtype == found.dtype
        elif ending == "parquet":
            from pyarrow import parquet

            stored = np.stack(parquet.read_table(output)["embedding"].to_numpy())
            assert stored.dtype == found.dtype
        else:
            import json

            stored = np.array([json.loads(line)["embedding"] for line in output.read_text().splitlines()])
        np.testing.assert_allclose(stored, found, rtol=1e-8)


def test_what_cannot_be_is_refused(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    with strizh.load(make_bundle()) as encoder:
        with pytest.raises(UsageError, match="precision is 'int4', expected one of float32, int8"):
            encoder.encode(TEXTS, precision="int4")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="8 dimensions a byte, and these vectors have 7"):
            encoder.encode(TEXTS, precision="binary", truncate_dim=7)
        with pytest.raises(UsageError, match="a stream of int8 vectors needs calibration_embeddings"):
            encoder.encode_stream(TEXTS, precision="int8")
        with pytest.raises(UsageError, match="one vector has no range"):
            encoder.encode("стриж", precision="int8")
        with pytest.raises(UsageError, match=r"calibration_embeddings are float64 \[3, 5\], expected float vectors"):
            encoder.encode(TEXTS, precision="int8", calibration_embeddings=np.zeros((3, 5)))
        with pytest.raises(UsageError, match="hold NaN"):
            encoder.encode(TEXTS, precision="uint8", calibration_embeddings=np.full((3, 8), np.nan))
        with pytest.warns(UserWarning, match="ranges of int8 are those of 6 vectors"):
            encoder.encode(TEXTS, precision="int8")
        assert encoder.encode([], precision="ubinary").shape == (0, 1)
