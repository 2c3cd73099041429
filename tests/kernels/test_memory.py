"""Scratch memory of the operators lasts as long as the sessions that use it."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from strizh.export.spec import Activation, EncoderSpec, Layer, Positions
from strizh.export.targets import cpu
from strizh.kernels import library_path

pytestmark = pytest.mark.skipif(library_path() is None, reason="the kernels were not built")
_STATUS = Path("/proc/self/status")
# Heads of one column, which the kernels pad to 32: scratch is 32 times what ONNX Runtime itself keeps of a batch.
_SPEC = EncoderSpec(
    family="test", vocab_size=40, hidden_size=8, num_heads=8, num_kv_heads=8, head_size=1, intermediate_size=8,
    layers=(Layer(),), positions=Positions.ABSOLUTE, max_positions=64, position_offset=0, pad_token_id=1,
    activation=Activation.RELU, norm_eps=1e-12, attention_scale=1.0, normalize=True,
)  # fmt: skip


def _resident() -> int:
    found = re.search(r"VmRSS:\s+(\d+)", _STATUS.read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not _STATUS.exists(), reason="this system does not say how much memory a process has")
def test_closing_the_last_session_frees_it() -> None:
    rng = np.random.default_rng(0)
    weights = {slot: rng.normal(size=shape).astype(np.float32) for slot, shape in _SPEC.slots()}
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(library_path()))
    model = cpu.build(_SPEC, weights, precision="fp32").SerializeToString()
    first, second = (onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]) for _ in range(2))
    texts, length = 2000, 50
    ids = rng.integers(2, 40, texts * length, dtype=np.int32)
    cu_seqlens = np.arange(texts + 1, dtype=np.int32) * length
    first.run(["sentence_embedding"], {"input_ids": ids, "cu_seqlens": cu_seqlens})
    scratch = 3 * 8 * 32 * 4 * len(ids)  # q, k and v in float32
    del second
    while_open = _resident()
    del first
    assert while_open - _resident() > 0.8 * scratch
