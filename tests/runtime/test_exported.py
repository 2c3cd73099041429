"""The embedded checkpoint, exported for every target that this machine runs: real texts through real graphs."""

import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

import strizh
from strizh import kernels
from strizh.export import export_model
from strizh.runtime.errors import BundleError, TruncationWarning
from strizh.runtime.manifest import File, read_manifest, write_manifest

CHECKPOINT = Path(__file__).parents[1] / "data/rope-e5-tiny-ru"
PADDED = ("portable-fp32", "ort-fp32")
PACKED = ("cpu-fp32", "cpu-bf16") if kernels.library_path() else ()
TEXTS = [
    "Стриж спит на лету, не снижаясь к земле.",
    "A swift sleeps on the wing and never lands to rest.",
    "Да",
    "",
    "   ",
    "Сколько стоит проезд до аэропорта?",
    "How much is the ride to the airport, if we leave before six in the morning and take two large suitcases?",
    "a\0b",
    "Птица улетела на юг. " * 12,
]


@pytest.fixture(params=[*PADDED, *PACKED])
def encoder(request: pytest.FixtureRequest, exported: Path) -> strizh.Encoder:
    return strizh.load(exported, request.param)


def test_variants_agree(exported: Path, encoder: strizh.Encoder) -> None:
    with strizh.load(exported, "portable-fp32") as portable:
        cosines = (portable.encode(TEXTS) * encoder.encode(TEXTS)).sum(axis=1)
    # bf16 has 8 bits: each of 4 layers adds about 2^-9 of relative error, and a cosine loses half of its square.
    assert cosines.min() >= (1 - (4 * 2**-9) ** 2 / 2 * 4 if encoder.variant.endswith("bf16") else 1 - 1e-6)


def test_a_text_alone_is_the_same_text_in_any_batch(encoder: strizh.Encoder) -> None:
    alone = np.stack([encoder.encode(text) for text in TEXTS])
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(TEXTS)), 5))
    together = encoder.encode([TEXTS[number] for number in order])
    if encoder.variant in PACKED:
        np.testing.assert_array_equal(together, alone[order])
    else:  # the shapes of the products differ, and with them the order of the sums
        np.testing.assert_allclose(together, alone[order], atol=2e-5)


@pytest.mark.skipif(not PACKED, reason="the kernels were not built")
@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_vectors_of_one_token_are_rows_of_its_token_vectors(pooling: str, tmp_path: Path) -> None:
    """Bit for bit, though the graph computes no other row where only vectors are asked for."""
    export_model(CHECKPOINT, tmp_path / "bundle", variants=PACKED, pooling=pooling, normalize=False, verify=False)
    for variant in PACKED:
        with strizh.load(tmp_path / "bundle", variant) as encoder:
            vectors, tokens = encoder.encode(TEXTS), encoder.encode_token_embeddings(TEXTS)
            rows = [found.vectors[0 if pooling == "cls" else -1] for found in tokens]
            np.testing.assert_array_equal(vectors, rows)
            np.testing.assert_array_equal(encoder.encode(TEXTS), vectors)


@pytest.mark.skipif(not PACKED, reason="the kernels were not built")
def test_an_operator_of_a_later_strizh_is_said_to_be_one(exported: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    name = read_manifest(bundle).variants["cpu-fp32"].file
    graph = onnx.load(bundle / name, load_external_data=False)
    next(node for node in graph.graph.node if node.op_type == "EncoderLayer").op_type = "LaterLayer"
    onnx.save(graph, bundle / name)
    manifest = read_manifest(bundle)
    write_manifest(bundle, replace(manifest, files=manifest.files | {name: File.of(bundle / name)}))
    with strizh.load(bundle, "portable-fp32") as encoder:
        encoder.encode("да")
    with pytest.raises(
        BundleError, match=r"does not know: .*LaterLayer.*\. Install the strizh that exported the bundle"
    ):
        strizh.load(bundle, "cpu-fp32").encode("да")


def test_the_default_prompt_is_the_checkpoints(encoder: strizh.Encoder) -> None:
    texts = TEXTS[:3]
    np.testing.assert_array_equal(encoder.encode(texts), encoder.encode(texts, prompt_name="query"))
    np.testing.assert_array_equal(
        encoder.encode(texts, prompt_name="passage"), encoder.encode([f"passage: {text}" for text in texts], prompt="")
    )


def test_long_texts(encoder: strizh.Encoder) -> None:
    long = "Стриж летит над рекой. " * 400
    with pytest.warns(TruncationWarning, match="1 of 2 texts are longer than 512 tokens"):
        cut = encoder.encode([long, "Да"])
    rows = encoder.tokenize([long], overflow="split")
    windows = [rows.input_ids[start:end] for start, end in pairwise(rows.cu_seqlens)]
    assert [len(window) for window in windows[:-1]] == [512] * (len(windows) - 1)
    split = encoder.encode(long, overflow="split")
    assert np.linalg.norm(split) == pytest.approx(1, abs=1e-6)
    assert cut[0] @ split > 0.9


def test_a_fresh_process_needs_only_the_runtime(exported: Path, encoder: strizh.Encoder, tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
import strizh
vectors = strizh.load(sys.argv[1], sys.argv[2]).encode(["Стриж", "the swift"])
np.save(sys.argv[3], vectors)
extra = {"torch", "transformers", "onnx", "safetensors", "strizh.export", "export", "runtime", "kernels"} & set(sys.modules)
sys.exit(f"imported {extra}" if extra else 0)
"""
    command = [sys.executable, "-P", "-c", script, str(exported), encoder.variant, str(tmp_path / "vectors.npy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), encoder.encode(["Стриж", "the swift"]))
