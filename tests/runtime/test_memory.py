"""Peak memory has a ceiling that follows from the token budget, however many texts there are."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from strizh.runtime.sessions.padded import ENOUGH_ON_CPU

HIDDEN, HEADS, MAX_LENGTH = 64, 4, 512
LONGEST = 800  # words of a text: some are longer than the limit

PROGRAM = """
import json, re, sys
import numpy as np
import strizh

def memory(kind):  # VmHWM is the peak: ru_maxrss would begin with that of the parent
    return int(re.search(kind + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

folder, count, budget = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
generator = np.random.default_rng(0)
lengths = np.minimum(generator.lognormal(3.5, 1.2, count).astype(int) + 1, int(sys.argv[4]))
texts = [" ".join(["swift", "стриж", "a"][n % 3] for _ in range(n)) for n in lengths]
with strizh.load(folder, max_batch_tokens=budget, threads=1) as encoder:
    encoder.encode(texts[:1], overflow="split")
    before = memory("VmHWM")
    vectors = encoder.encode(texts, overflow="split")
    assert np.isfinite(vectors).all()
    print(json.dumps({"grown": memory("VmHWM") - before, "kept": memory("VmRSS") - before, "output": vectors.nbytes}))
"""


def attention_graph(vocabulary: int) -> onnx.ModelProto:
    """One layer of attention with its quadratic scores, written out, and a mean over the real tokens."""
    generator = np.random.default_rng(0)
    constants = {
        "table": generator.standard_normal((vocabulary, HIDDEN)).astype(np.float32),
        "heads": np.array([0, 0, HEADS, HIDDEN // HEADS]),
        "merged": np.array([0, 0, HIDDEN]),
        "one": np.array(1, np.float32),
        "minus": np.array(-1e9, np.float32),
        "axes12": np.array([1, 2]),
        "axis2": np.array([2]),
        "axis1": np.array([1]),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["x"]),
        node("Reshape", ["x", "heads"], ["split"]),
        node("Transpose", ["split"], ["q"], perm=[0, 2, 1, 3]),
        node("Transpose", ["split"], ["k"], perm=[0, 2, 3, 1]),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Sub", ["one", "mask"], ["padding"]),
        node("Mul", ["padding", "minus"], ["penalty"]),
        node("Unsqueeze", ["penalty", "axes12"], ["bias"]),
        node("Add", ["scores", "bias"], ["masked"]),
        node("Softmax", ["masked"], ["weights"], axis=-1),
        node("MatMul", ["weights", "q"], ["mixed"]),
        node("Transpose", ["mixed"], ["joined"], perm=[0, 2, 1, 3]),
        node("Reshape", ["joined", "merged"], ["token_embeddings"]),
        node("Unsqueeze", ["mask", "axis2"], ["real"]),
        node("Mul", ["token_embeddings", "real"], ["kept"]),
        node("ReduceSum", ["kept", "axis1"], ["sums"], keepdims=0),
        node("ReduceSum", ["real", "axis1"], ["counts"], keepdims=0),
        node("Div", ["sums", "counts"], ["sentence_embedding"]),
    ]
    value = helper.make_tensor_value_info
    inputs = [value(name, TensorProto.INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")]
    outputs = [
        value("token_embeddings", TensorProto.FLOAT, ["batch", "sequence", HIDDEN]),
        value("sentence_embedding", TensorProto.FLOAT, ["batch", HIDDEN]),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "attention", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def measure(folder: Path, texts: int, budget: int) -> dict[str, int]:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(texts), str(budget), str(LONGEST)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def ceiling(budget: int, output: int) -> int:
    """Bytes that encoding may add at most: what may be alive together, from its sizes."""
    batch = min(budget, ENOUGH_ON_CPU)  # tokens, padding counted
    scores = 3 * 4 * HEADS * batch * MAX_LENGTH  # what goes in and out of a node, and one more, float32
    activations = 8 * 4 * HIDDEN * batch
    arena = 2 * (scores + activations)  # ONNX Runtime's arena grows by doubling
    windows = 2 * 8 * budget * 48  # two of 16 characters a token of budget, 2 characters a token here; ids as integers
    rust = 256 * LONGEST * 120  # the tokenizer's own objects for the texts that it takes at once
    return arena + windows + rust + output


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_ten_thousand_mixed_texts_stay_below_the_ceiling(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(graph=attention_graph(18), dimension=HIDDEN, max_length=MAX_LENGTH)
    for budget in (8192, 512):
        measured = measure(folder, 10_000, budget)
        assert measured["grown"] <= ceiling(budget, measured["output"])
        # After a long run the arena goes back to the system: at least one tensor of attention scores of it.
        assert measured["grown"] - measured["kept"] >= 4 * HEADS * min(budget, ENOUGH_ON_CPU) * MAX_LENGTH
    more = measure(folder, 30_000, 512)
    # Three times the texts add their vectors, and what one window may differ from another.
    window = ceiling(512, 0) / 2
    assert more["grown"] - measured["grown"] <= more["output"] - measured["output"] + window
