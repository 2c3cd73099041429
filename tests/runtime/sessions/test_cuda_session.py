"""Buffers and the count of CUDA graphs, on the CPU provider: the code is the same, its graphs are plain runs."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from strizh.export.spec import Activation, EncoderSpec, Positions
from strizh.export.targets import cuda as target
from strizh.runtime import placement
from strizh.runtime.batching import PackedBatch
from strizh.runtime.cuda import PROVIDER
from strizh.runtime.errors import BundleError, DeviceError
from strizh.runtime.manifest import Variant
from strizh.runtime.sessions import bucket_graphs, captures, cuda, device, opening
from strizh.runtime.sessions.buckets import bucket_of
from strizh.runtime.sessions.cuda import CudaSession
from strizh.runtime.sessions.device_memory import DeviceMemory
from strizh.runtime.sessions.session import Output

# A model without layers: its embeddings, norm and pooling have CPU kernels.
SPEC = EncoderSpec(
    family="test", vocab_size=40, hidden_size=24, num_heads=3, num_kv_heads=3, head_size=8, intermediate_size=40,
    layers=(), positions=Positions.ABSOLUTE, max_positions=8192, position_offset=0, pad_token_id=1,
    activation=Activation.GELU, norm_eps=1e-12, attention_scale=1.0, normalize=True,
)  # fmt: skip
SENTENCES = Output("sentence_embedding", 24)
TOKENS = Output("token_embeddings", 24, per_token=True)


def batch_of(*lengths: int) -> PackedBatch:
    return PackedBatch.pack(np.random.default_rng(length).integers(2, 40, length) for length in lengths)


@pytest.fixture
def session() -> CudaSession:
    draw = np.random.default_rng(0)
    weights = {slot: draw.normal(size=shape).astype(np.float32) for slot, shape in SPEC.slots()}
    model = target.build(SPEC, weights, precision="fp32")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    opened = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return CudaSession(opened, variant="cuda-fp32")


@pytest.mark.parametrize("output", [SENTENCES, TOKENS], ids=["sentences", "tokens"])
def test_cuda_graph_gives_what_the_plain_run_gives(session: CudaSession, output: Output) -> None:
    batch = batch_of(5, 17, 1, 40)
    plain = session.run(batch, output)
    assert session.graphs == 0, "a bucket that comes once is run as it is"
    kept = session.run(batch, output)
    assert session.graphs == 1
    np.testing.assert_allclose(kept, plain, rtol=0, atol=1e-6)
    np.testing.assert_allclose(session.run(batch, output), plain, rtol=0, atol=1e-6)


def test_cuda_graph_of_a_bucket_serves_every_output(session: CudaSession) -> None:
    batch = batch_of(5, 17, 1, 40)
    vectors, tokens = session.run(batch, SENTENCES), session.run(batch, TOKENS)
    for _ in range(2):
        np.testing.assert_allclose(session.run(batch, SENTENCES), vectors, rtol=0, atol=1e-6)
        np.testing.assert_allclose(session.run(batch, TOKENS), tokens, rtol=0, atol=1e-6)
    assert session.graphs == 1


def test_cuda_buffers_serve_every_batch_of_their_bucket(session: CudaSession) -> None:
    first, second = batch_of(30, 9), batch_of(28, 8)
    assert bucket_of(first) == bucket_of(second)
    expected = session.run(second, SENTENCES)
    session.warm_up(first, SENTENCES)
    kept = session.run(first, SENTENCES)
    np.testing.assert_allclose(session.run(second, SENTENCES), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(session.run(first, SENTENCES), kept)
    assert session.graphs == 1


def test_cuda_results_are_the_callers_own(session: CudaSession) -> None:
    session.warm_up(batch_of(20), SENTENCES)
    first = session.run(batch_of(20), SENTENCES)
    copy = first.copy()
    session.run(batch_of(19), SENTENCES)
    np.testing.assert_array_equal(first, copy)


def test_cuda_graphs_are_bounded(session: CudaSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_graphs, "MOST_GRAPHS", 2)
    monkeypatch.setattr(cuda, "MOST_GRAPH_TOKENS", 200)
    batches: list[Any] = [batch_of(20), batch_of(50), batch_of(100), batch_of(300)]
    expected = [session.run(batch, SENTENCES) for batch in batches]
    for _ in range(2):
        for batch, vectors in zip(batches, expected, strict=True):
            np.testing.assert_allclose(session.run(batch, SENTENCES), vectors, rtol=0, atol=1e-6)
    assert session.graphs == 2
    session.warm_up(batches[3], SENTENCES)
    assert session.graphs == 2, "a batch of more tokens than graphs pay for has none"


def several(*batches: PackedBatch) -> tuple[PackedBatch, list[np.ndarray]]:
    """Texts of several batches in one, and the rows of each."""
    ends = np.cumsum([0, *(len(batch) for batch in batches)])
    ids = np.concatenate([batch.input_ids for batch in batches])
    lengths = np.concatenate([batch.lengths for batch in batches])
    together = PackedBatch(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return together, [np.arange(*pair) for pair in itertools.pairwise(ends)]


@pytest.mark.parametrize("output", [SENTENCES, TOKENS], ids=["sentences", "tokens"])
@pytest.mark.parametrize("page_locked", [False, True])
def test_cuda_batches_one_after_another_give_what_each_gives_alone(
    session: CudaSession,
    output: Output,
    page_locked: bool,
    fake_driver: Callable[..., Any],
    memory_of: Callable[[Any], DeviceMemory],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Large ones, which are copied ahead, and small ones, which replay graphs, in turn and twice."""
    monkeypatch.setattr(cuda, "MOST_GRAPH_TOKENS", 100)
    driver = fake_driver()
    if page_locked:
        session._memory = memory_of(driver)
    alone = [batch_of(90, 80, 7), batch_of(20), batch_of(200), batch_of(21), batch_of(60, 60), batch_of(20)]
    expected = [session.run(batch, output) for batch in alone]
    texts, rows = several(*alone)
    for _ in range(2):
        found = list(session.run_each(texts, rows, output, give_back=True))
        for one, vectors in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, vectors, rtol=0, atol=1e-6)
    assert session.graphs >= 1 and bool(driver.locked) == bool(driver.copied) == page_locked


def test_cuda_vectors_and_sessions_wait_for_a_capture(session: CudaSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors taken to the host, a model that is opened and the memory of its session."""
    seen, gate = list[str](), captures.Captures()
    none = gate.none
    monkeypatch.setattr(gate, "none", lambda: counted(seen, "work", none()))
    for module in (placement, opening, device):
        monkeypatch.setattr(module, "CAPTURES", gate)
    kept = session.keep(batch_of(5, 3), [slice(0, 2)], SENTENCES)
    seen.clear()
    assert kept.numpy().shape == (2, 24) and seen == ["work"]
    CudaSession(session._session, variant="cuda-fp32")
    assert len(seen) == 2
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *call, **rest: len(seen))
    variant = Variant("packed/cuda_fp16.onnx", "cuda", "fp16")
    assert opening.create(Path("cuda_fp16.onnx"), variant, "cuda-fp16", 1, (PROVIDER,)) == 3


def test_cuda_inputs_of_the_next_batch_are_copied_while_one_computes(
    session: CudaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each computation waits here until the next batch is there: with copies in between it would wait for ever."""
    monkeypatch.setattr(cuda, "MOST_GRAPH_TOKENS", 10)
    texts, rows = several(batch_of(30), batch_of(40), batch_of(50))
    copied = {tokens: threading.Event() for tokens in (30, 40, 50)}
    following, waited = {30: 40, 40: 50}, list[bool]()
    stage, compute = session._stage, session._compute_staged

    def staged(texts: PackedBatch, rows: Any) -> Any:
        found = stage(texts, rows)
        copied[len(found[0].input_ids)].set()
        return found

    def computed(batch: PackedBatch, *rest: Any) -> Any:
        upcoming = following.get(len(batch.input_ids))
        waited.append(upcoming is None or copied[upcoming].wait(timeout=30))
        return compute(batch, *rest)

    monkeypatch.setattr(session, "_stage", staged)
    monkeypatch.setattr(session, "_compute_staged", computed)
    assert len(list(session.run_each(texts, rows, SENTENCES))) == 3 and waited == [True] * 3


def test_cuda_error_in_a_batch_ends_the_run_and_leaves_the_session_usable(session: CudaSession) -> None:
    texts, rows = several(batch_of(9000), batch_of(5000))  # beyond the 8192 positions
    with pytest.raises(BundleError, match="the graph failed on 1 texts of 9000 tokens"):
        list(session.run_each(texts, rows, SENTENCES))
    assert session.run(batch_of(20), SENTENCES).shape == (1, 24)


def test_cuda_nodes_never_take_a_detour_over_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is asked for with the GPU's provider alone, and with ONNX Runtime's way back to the CPU closed."""
    asked: list[Any] = []

    def refuse(
        graph: str, options: Any, providers: list[str], settings: list[dict[str, str]], enable_fallback: int
    ) -> None:
        assert not enable_fallback
        entry = options.get_session_config_entry("session.disable_cpu_ep_fallback")
        asked.append((entry, providers, settings))
        raise RuntimeError("no GPU")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    variant = Variant("packed/cuda_fp16.onnx", "cuda", "fp16")
    with pytest.raises(DeviceError, match="cuda-fp16: ONNX Runtime's CUDA provider does not run the graph: no GPU"):
        opening.create(Path("cuda_fp16.onnx"), variant, "cuda-fp16", 1, (PROVIDER, "CPUExecutionProvider"))
    assert asked == [("1", [PROVIDER], [dict(cuda.OPTIONS)])]


def test_cuda_graphs_belong_to_one_thread_and_so_do_the_runs_that_follow(
    session: CudaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who calls alone runs where it calls; of several callers none does: ONNX Runtime has a graph for one thread."""
    ran: list[str] = []
    run = session._session.run_with_iobinding
    monkeypatch.setattr(
        session._session, "run_with_iobinding", lambda *call: (ran.append(threading.current_thread().name), run(*call))
    )
    batch = batch_of(20)
    expected = session.run(batch, SENTENCES)
    session.warm_up(batch, SENTENCES)
    assert set(ran) == {threading.current_thread().name}
    ran.clear()
    for _ in range(3):  # a new thread each, as some servers have
        with ThreadPoolExecutor(1, "caller") as caller:
            np.testing.assert_allclose(caller.submit(session.run, batch, SENTENCES).result(), expected, atol=1e-6)
    np.testing.assert_allclose(session.run(batch, SENTENCES), expected, atol=1e-6)
    assert set(ran) == {"strizh-gpu_0"} and session.graphs == 1


@contextmanager
def counted(seen: list[str], name: str, inner: Any) -> Iterator[None]:
    with inner:
        seen.append(name)
        yield


def test_cuda_captures_have_no_other_work_beside_them(session: CudaSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread's first run of a graph may capture it: it waits for the copies of others, and they for it."""
    gate, seen = captures.Captures(), list[str]()
    for module in (device, bucket_graphs):
        monkeypatch.setattr(module, "CAPTURES", gate)
    one = gate.one
    monkeypatch.setattr(gate, "one", lambda: counted(seen, "capture", one()))
    batch = batch_of(20)
    for _ in range(4):
        session.run(batch, SENTENCES)
    with ThreadPoolExecutor(1) as other:
        for _ in range(2):
            other.submit(session.run, batch, SENTENCES).result()
    assert seen == ["capture", "capture"], "in the first thread, and in the one of all the runs that follow"

    entered, leave = threading.Event(), threading.Event()

    def capture() -> None:
        with one():
            entered.set()
            assert leave.wait(30)

    with ThreadPoolExecutor(2) as threads:
        capturing = threads.submit(capture)
        assert entered.wait(30)
        copying = threads.submit(session._put, batch)
        with pytest.raises(TimeoutError):
            copying.result(timeout=0.5)
        assert not capturing.done()
        leave.set()
        assert "input_ids" in copying.result(30)
        capturing.result(30)


def test_cuda_capture_that_is_interrupted_while_it_waits_lets_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = captures.Captures()

    def wait_for(met: Callable[[], bool]) -> None:
        if not met():
            raise KeyboardInterrupt

    monkeypatch.setattr(gate._changed, "wait_for", wait_for)
    with gate.none(), pytest.raises(KeyboardInterrupt), gate.one():
        pytest.fail("work is under way")
    with gate.none():
        pass
    with gate.one():
        pass


@pytest.mark.parametrize("lane", [False, True], ids=["in the caller's thread", "in the lane's"])
def test_cuda_graph_that_cannot_be_captured_is_told_and_done_without(
    session: CudaSession, monkeypatch: pytest.MonkeyPatch, lane: bool
) -> None:
    batch, other = batch_of(20), batch_of(70)
    expected = session.run(batch, SENTENCES)
    if lane:
        with ThreadPoolExecutor(1) as second:
            second.submit(session.run, batch_of(5), SENTENCES).result()
    run = session._session.run_with_iobinding

    def refuse(binding: Any, options: Any) -> Any:
        if options.get_run_config_entry("gpu_graph_id") == "1":
            raise RuntimeError("operation failed due to a previous error during capture")
        return run(binding, options)

    monkeypatch.setattr(session._session, "run_with_iobinding", refuse)
    line = (
        "cuda-fp32: batches as this one of 20 tokens run without a CUDA graph, which could not be captured: operation"
    )
    with pytest.warns(RuntimeWarning, match=line) as told:
        np.testing.assert_allclose(session.run(batch, SENTENCES), expected, atol=1e-6)
    assert [warning.filename for warning in told] == [__file__]
    for _ in range(2):
        np.testing.assert_allclose(session.run(batch, SENTENCES), expected, atol=1e-6)
    assert session.graphs == 0
    session.warm_up(other, SENTENCES)
    assert session.graphs == 1, "another bucket's is another matter"
