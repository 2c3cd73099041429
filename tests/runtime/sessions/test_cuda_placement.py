"""Vectors handed out without a copy: views of the host's array, and a CUDA session's own memory (here the CPU's)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import strizh
from strizh.export import export_model
from strizh.export.spec import Activation, EncoderSpec, Positions
from strizh.export.targets import cuda as target
from strizh.runtime.batching import Budget, PackedBatch
from strizh.runtime.errors import BundleError, TextError, UsageError
from strizh.runtime.sessions.cuda import CudaSession
from strizh.runtime.sessions.session import Output
from strizh.runtime.tokenization import Tokenized

TINY = Path(__file__).parents[2] / "data/rope-e5-tiny-ru"
TEXTS = ["Стриж спит на лету.", "A swift.", "Над рекой кружат стрижи, и вечер тёплый."]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuda") / "bundle"
    export_model(TINY, folder, variants=["portable-fp32"], verify=False)
    return folder


@pytest.fixture
def session() -> CudaSession:
    return opened_session()


def opened_session(seven: float | None = None) -> CudaSession:
    """A model without layers: its embeddings, norm and pooling have CPU kernels. `seven`: a number of token 7's row."""
    spec = EncoderSpec(
        family="test", vocab_size=40, hidden_size=24, num_heads=3, num_kv_heads=3, head_size=8, intermediate_size=40,
        layers=(), positions=Positions.ABSOLUTE, max_positions=8192, position_offset=0, pad_token_id=1,
        activation=Activation.GELU, norm_eps=1e-12, attention_scale=1.0, normalize=True,
    )  # fmt: skip
    draw = np.random.default_rng(0)
    weights = {slot: draw.normal(size=shape).astype(np.float32) for slot, shape in spec.slots()}
    model = target.build(spec, weights, precision="fp32")
    if seven is not None:  # which no export writes
        (table,) = (tensor for tensor in model.graph.initializer if tensor.name == "embeddings.word")
        rows = np.frombuffer(table.raw_data, np.float32).reshape(table.dims).copy()
        rows[7, 3] = seven
        table.raw_data = rows.tobytes()
    opened = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return CudaSession(opened, variant="cuda-fp32")


SENTENCES = Output("sentence_embedding", 24)


@pytest.mark.parametrize("output", ["dlpack", "torch"])
def test_without_cuda_every_placement_is_a_view_of_the_same_numbers(bundle: Path, output: str) -> None:
    with strizh.load(bundle) as encoder:
        expected = encoder.encode(TEXTS)
        found = encoder.encode(TEXTS, output=output)
        tensor = found if output == "torch" else torch.from_dlpack(found)
        assert tensor.dtype == torch.float32 and torch.equal(tensor, torch.from_numpy(expected))
        view = np.from_dlpack(found)
        assert view.__array_interface__["data"][0] == tensor.data_ptr(), "no copy between the three"
        single = encoder.encode(TEXTS[0], output=output, truncate_dim=8)
        np.testing.assert_allclose(np.from_dlpack(single), encoder.encode(TEXTS[0], truncate_dim=8), rtol=0, atol=1e-6)


def test_cuda_vectors_stay_where_they_are(session: CudaSession) -> None:
    batch = PackedBatch.pack([[3, 5, 7], [], [9], list(range(2, 30)), [4, 4]])
    lengths = batch.lengths
    kept = session.keep(batch, Budget(30, padded=False).consecutive(lengths), SENTENCES)
    assert kept.shape == (5, 24) and kept.__dlpack_device__() == (1, 0)
    real = np.flatnonzero(lengths)
    expected = np.zeros((5, 24), np.float32)
    expected[real] = session.run(batch.take(real), SENTENCES)
    np.testing.assert_allclose(kept.numpy(), expected, rtol=0, atol=1e-6)
    with pytest.raises(BufferError, match="without a copy"):
        kept.__dlpack__(copy=True)
    with pytest.raises(BufferError, match="where they are"):
        kept.__dlpack__(dl_device=(2, 0))
    tensor: Any = torch.from_dlpack(kept)
    del kept
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=0, atol=1e-6)
    assert session.keep(batch.take(real[:1]), [slice(0, 1)], SENTENCES, alone=True).shape == (24,)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_cuda_vectors_that_are_not_finite_are_refused_where_they_are(wrong: float) -> None:
    """One text of many, in the second batch; its neighbours alone are given out."""
    session = opened_session(wrong)
    batch = PackedBatch.pack([[3, 5], [9], [4, 7], [2]])
    with pytest.raises(BundleError, match="cuda-fp32 gave numbers that are not finite for 2 texts"):
        session.keep(batch, [slice(0, 2), slice(2, 4)], SENTENCES)
    assert session.keep(batch, [slice(0, 2)], SENTENCES).shape == (4, 24)


def test_encode_leaves_cuda_vectors_as_the_graph_gives_them(
    bundle: Path, session: CudaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    with strizh.load(bundle) as encoder:
        small = CudaSession(session._session, variant="cuda-fp32")
        monkeypatch.setattr(encoder, "_sessions", dict.fromkeys(encoder._sessions, small))
        monkeypatch.setattr(type(encoder), "_sentence", SENTENCES)
        with pytest.raises(TextError, match="text 0 is of type tuple, expected a string"):
            encoder.encode([("a", "b")], output="dlpack")

        def tokenize(texts: Sequence[str], *_: str) -> Tokenized:
            batch = PackedBatch.pack([[3, 5], [7]][: len(texts)])
            return Tokenized(batch, np.arange(len(texts), dtype=np.int32), len(texts), 0, 0)

        monkeypatch.setattr(encoder._tokenizer, "tokenize", tokenize)
        found = encoder.encode(["a", "b"], output="torch")
        np.testing.assert_allclose(found.numpy(), session.run(PackedBatch.pack([[3, 5], [7]]), SENTENCES), atol=1e-6)
        assert encoder.encode("a", output="torch").shape == (24,)
        for options in ({"truncate_dim": 4}, {"precision": "ubinary"}, {"overflow": "split"}):
            with pytest.raises(UsageError, match="leaves vectors on the GPU as the graph gives them"):
                encoder.encode(["a"], output="dlpack", **options)


def test_a_placement_that_is_not_known_or_not_installed_is_one_line(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with strizh.load(bundle) as encoder:
        with pytest.raises(UsageError, match=r"^output is 'cuda', expected one of numpy, dlpack, torch$"):
            encoder.encode(TEXTS, output="cuda")
        monkeypatch.setitem(__import__("sys").modules, "torch", None)
        with pytest.raises(UsageError, match=r"^output='torch' needs PyTorch, which is not installed"):
            encoder.encode(TEXTS, output="torch")


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(20, 60))
def test_cuda_batches_of_neighbours_hold_every_text_with_a_token_once(lengths: list[int], limit: int) -> None:
    array = np.array(lengths, np.int32)
    parts = list(Budget(limit, padded=False).consecutive(array))
    assert [row for part in parts for row in range(part.start, part.stop)] == np.flatnonzero(array).tolist()
    assert all(array[part].sum() <= limit for part in parts)
