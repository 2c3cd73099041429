"""Vectors handed out without a copy: views of the host's array, and a CUDA session's own memory (here the CPU's)."""

import gc
import threading
import weakref
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
from strizh.runtime.sessions import cuda
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


def opened_session(seven: float | None = None, checksum: bool = True) -> CudaSession:
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
    if not checksum:
        model.graph.output.remove(next(value for value in model.graph.output if value.name == "checksum"))
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


def drawn(seed: int, *lengths: int) -> PackedBatch:
    draw = np.random.default_rng(seed)
    return PackedBatch.pack(draw.integers(2, 40, length) for length in lengths)


def test_cuda_vectors_that_stay_come_from_replayed_graphs_and_are_their_callers_own(session: CudaSession) -> None:
    """Batches of one bucket, kept one after another: each tensor is what it was when it was handed out."""
    batches = [drawn(seed, 5, 17, 9) for seed in range(6)]
    expected = [session.run(batch, SENTENCES) for batch in batches]
    session.warm_up(batches[0], SENTENCES)
    assert session.graphs == 1
    kept: list[Any] = []
    for batch, vectors in zip(batches, expected, strict=True):
        kept.append(torch.from_dlpack(session.keep(batch, [slice(0, 3)], SENTENCES)))
        session.run(batches[0], SENTENCES)  # writes over the graph's own buffers
        np.testing.assert_allclose(kept[-1].numpy(), vectors, rtol=0, atol=1e-6)
    assert session.graphs == 1, "all of them replayed it"
    for tensor, vectors in zip(kept, expected, strict=True):
        np.testing.assert_allclose(tensor.numpy(), vectors, rtol=0, atol=1e-6)


def test_cuda_vectors_that_stay_are_the_same_with_graphs_and_without(
    session: CudaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large batches, copied ahead and written in their place, between small ones, copied from their graphs; twice."""
    monkeypatch.setattr(cuda, "MOST_GRAPH_TOKENS", 64)
    lengths = [90, 20, 7, 80, 80, 20, 7, 9]
    batch = drawn(0, *lengths)
    parts = [slice(0, 1), slice(1, 3), slice(3, 5), slice(5, 7), slice(7, 8)]
    expected = np.concatenate([session.run(batch.take(np.arange(part.start, part.stop)), SENTENCES) for part in parts])
    for _ in range(2):
        found = session.keep(batch, parts, SENTENCES).numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert session.graphs >= 1


def test_cuda_inputs_of_the_next_batch_are_copied_while_one_computes_vectors_that_stay(
    session: CudaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each computation waits here until the next batch is there: with copies in between it would wait for ever."""
    monkeypatch.setattr(cuda, "MOST_GRAPH_TOKENS", 10)
    copied = {tokens: threading.Event() for tokens in (30, 40, 50)}
    following, waited = {30: 40, 40: 50}, list[bool]()
    put, compute = session._put, session._run_into

    def staged(batch: PackedBatch) -> Any:
        found = put(batch)
        copied[len(batch.input_ids)].set()
        return found

    def computed(batch: PackedBatch, *rest: Any) -> bool:
        upcoming = following.get(len(batch.input_ids))
        waited.append(upcoming is None or copied[upcoming].wait(timeout=30))
        return compute(batch, *rest)

    monkeypatch.setattr(session, "_put", staged)
    monkeypatch.setattr(session, "_run_into", computed)
    parts = [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert session.keep(drawn(0, 30, 40, 50), parts, SENTENCES).shape == (3, 24) and waited == [True] * 3


def test_cuda_buffer_lives_as_long_as_the_run_that_an_interrupted_call_left_behind(
    session: CudaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Any] = []
    buffers: list[weakref.ref[onnxruntime.OrtValue]] = []
    buffer = session._memory.buffer

    def remembered(*call: Any) -> onnxruntime.OrtValue:
        value = buffer(*call)
        buffers.append(weakref.ref(value))
        return value

    def interrupted(run: Any) -> bool:
        left.append(run)
        raise KeyboardInterrupt

    monkeypatch.setattr(session._memory, "buffer", remembered)
    monkeypatch.setattr(session, "_lane", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.keep(drawn(0, 5, 3), [slice(0, 2)], SENTENCES)
    gc.collect()
    (vectors,) = buffers
    assert vectors() is not None and left.pop()()
    gc.collect()
    assert vectors() is None


def test_cuda_bundle_without_the_checksum_is_one_line_and_serves_the_host() -> None:
    session, batch = opened_session(checksum=False), drawn(0, 5, 3)
    line = r"cuda-fp32 has no output checksum, .* wrote it\. Export the bundle again, or take output='numpy'"
    with pytest.raises(BundleError, match=line):
        session.keep(batch, [slice(0, 2)], SENTENCES)
    for _ in range(3):
        assert session.run(batch, SENTENCES).shape == (2, 24)


@pytest.mark.parametrize("graph", [False, True], ids=["plain", "graph"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_cuda_vectors_that_are_not_finite_are_refused_where_they_are(wrong: float, graph: bool) -> None:
    """One text of many, in the second batch; its neighbours alone are given out."""
    session = opened_session(wrong)
    batch = PackedBatch.pack([[3, 5], [9], [4, 7], [2]])
    if graph:
        session.warm_up(batch.take(np.arange(2)), SENTENCES)
        assert session.graphs == 1
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
        with pytest.raises(TextError, match=r"text 0 is of type tuple \(.*\), expected a string"):
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
