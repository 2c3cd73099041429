"""Tiny bundles, made here with onnx.helper and a tokenizer built in code, so that no exporter is needed; and one real one."""

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import strizh
from strizh import kernels
from strizh.export import export_model
from strizh.runtime.errors import BundleError
from strizh.runtime.manifest import MANIFEST, File, Manifest, Variant

CHECKPOINT = Path(__file__).parents[1] / "data/rope-e5-tiny-ru"
HIDDEN = 8
MAX_LENGTH = 12
WORDS = ("стриж", "летит", "быстрее", "всех", "птиц", "the", "swift", "flies", "query", "passage", ":", "a", "b", "c")
VOCABULARY = {word: index for index, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", *WORDS))}


def word_tokenizer(special_tokens: bool = True) -> Tokenizer:
    """One token a word or sign, `<s>` and `</s>` around the text."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if special_tokens:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    return tokenizer


def word_table(hidden: int = HIDDEN) -> np.ndarray:
    """The embedding table of `mean_graph`, float32 [vocabulary, hidden]."""
    return np.random.default_rng(3).standard_normal((len(VOCABULARY), hidden)).astype(np.float32)


def mean_graph(hidden: int = HIDDEN, normalize: bool = False, labels: int = 0) -> onnx.ModelProto:
    """Mean of word vectors: the smallest graph with a real encoder's inputs and outputs.

    With `labels` it is a classifier instead: its `logits` are the first numbers of the mean.
    """
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["token_embeddings"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["weights"]),
        node("Mul", ["token_embeddings", "weights"], ["weighted"]),
        node("ReduceSum", ["weighted", "one"], ["sums"], keepdims=0),
        node("ReduceSum", ["weights", "one"], ["counts"], keepdims=0),
        node("Div", ["sums", "counts"], ["mean"]),
    ]
    initializers = {"table": word_table(hidden), "last": np.array([2]), "one": np.array([1])}
    if labels:
        nodes.append(node("Slice", ["mean", "start", "labels", "one"], ["logits"]))
        initializers |= {"start": np.array([0]), "labels": np.array([labels])}
    elif normalize:
        nodes.append(node("LpNormalization", ["mean"], ["sentence_embedding"], axis=1, p=2))
    else:
        nodes.append(node("Identity", ["mean"], ["sentence_embedding"]))
    value = helper.make_tensor_value_info
    inputs = [value(name, TensorProto.INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")]
    tokens = value("token_embeddings", TensorProto.FLOAT, ["batch", "sequence", hidden])
    sentence = value("sentence_embedding", TensorProto.FLOAT, ["batch", hidden])
    logits = value("logits", TensorProto.FLOAT, ["batch", labels])
    outputs = [logits] if labels else [tokens, sentence]
    constants = [numpy_helper.from_array(array, name) for name, array in initializers.items()]
    graph = helper.make_graph(nodes, "mean", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write_manifest(folder: Path, **changes: object) -> None:
    """`strizh.json` for all the files in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    fields: dict[str, object] = {
        "name": "tiny",
        "source": "made by a test",
        "license": "MIT",
        "spec": {"family": "test", "vocab_size": len(VOCABULARY), "pad_token_id": 1},
        "dimension": HIDDEN,
        "pooling": "mean",
        "normalize": False,
        "max_length": MAX_LENGTH,
        "prompts": {"query": "query: ", "passage": "passage: "},
        "default_prompt_name": None,
        "labels": (),
        "variants": {"portable-fp32": Variant("onnx/model.onnx", "portable", "fp32")},
        "files": {path.relative_to(folder).as_posix(): File.of(path) for path in paths},
    }
    (folder / MANIFEST).write_text(Manifest(**{**fields, **changes}).to_json(), encoding="utf-8")  # type: ignore[arg-type]


def write_bundle(
    folder: Path,
    graph: onnx.ModelProto | None = None,
    tokenizer: Tokenizer | None = None,
    classifier: onnx.ModelProto | None = None,
    **changes: object,
) -> Path:
    """A whole bundle in a new folder; `changes` are fields of its manifest."""
    (folder / "onnx").mkdir(parents=True)
    onnx.save(graph or mean_graph(normalize=bool(changes.get("normalize"))), folder / "onnx/model.onnx")
    if classifier:
        onnx.save(classifier, folder / "onnx/classifier.onnx")
    (tokenizer or word_tokenizer()).save(str(folder / "tokenizer.json"))
    write_manifest(folder, **changes)
    return folder


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """`make_bundle(graph=…, tokenizer=…, classifier=…, **manifest fields)` gives the folder of a new bundle."""
    return lambda **arguments: write_bundle(tmp_path / f"bundle{len(list(tmp_path.iterdir()))}", **arguments)


@pytest.fixture
def tiny() -> SimpleNamespace:
    """What the tiny bundles are made of, for tests that make their own."""
    return SimpleNamespace(
        HIDDEN=HIDDEN,
        MAX_LENGTH=MAX_LENGTH,
        VOCABULARY=VOCABULARY,
        mean_graph=mean_graph,
        word_table=word_table,
        word_tokenizer=word_tokenizer,
        write_manifest=write_manifest,
    )


@pytest.fixture
def refuses() -> Callable[[Path, str], None]:
    """`refuses(folder, message)`: loading raises a BundleError that matches the message, in one line."""

    def check(folder: Path, message: str) -> None:
        with pytest.raises(BundleError, match=message) as caught:
            strizh.load(folder)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 800

    return check


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded checkpoint as a bundle with every variant that this machine runs."""
    folder = tmp_path_factory.mktemp("exported") / "rope-e5-tiny-ru"
    packed = ("cpu-fp32", "cpu-bf16") if kernels.library_path() else ()
    export_model(CHECKPOINT, folder, variants=["portable-fp32", "ort-fp32", *packed], verify=False)
    return folder


class FakeDriver:
    """A CUDA driver library with one H200, whose memory is the host's.

    `status` is cuInit's answer; `started` counts its calls. Memory is for who has the context: `locked` is what was lent,
    by address, and `copied` the bytes that were copied, one number a copy.
    """

    def __init__(self, status: int = 0) -> None:
        self.status, self.started = status, 0
        self.locked: dict[int, Any] = {}
        self.copied: list[int] = []
        self._entered = threading.local()

    def cuInit(self, flags: int) -> int:  # noqa: N802
        self.started += 1
        return self.status

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 13000
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: int) -> int:  # noqa: N802
        name.value = b"NVIDIA H200"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: int) -> int:  # noqa: N802
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0

    def cuDevicePrimaryCtxRetain(self, context: Any, device: int) -> int:  # noqa: N802
        context._obj.value = 4711
        return 0

    def cuCtxPushCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self._entered.times = getattr(self._entered, "times", 0) + (context.value == 4711)
        return 0

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self._entered.times -= 1
        return 0

    def _current(self) -> bool:
        return getattr(self._entered, "times", 0) == 1

    def cuMemHostAlloc(self, address: Any, size: Any, flags: int) -> int:  # noqa: N802
        if not self._current():
            return 201  # CUDA_ERROR_INVALID_CONTEXT
        memory = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(memory)
        self.locked[address._obj.value] = memory
        return 0

    def cuMemFreeHost(self, address: Any) -> int:  # noqa: N802
        del self.locked[address.value]
        return 0

    def cuStreamCreate(self, stream: Any, flags: int) -> int:  # noqa: N802
        stream._obj.value = 4712
        return 0 if flags == 1 and self._current() else 201

    def cuMemcpyAsync(self, target: Any, source: Any, size: Any, stream: Any) -> int:  # noqa: N802
        if not self._current() or stream.value != 4712:
            return 201
        ctypes.memmove(target.value, source.value, size.value)
        self.copied.append(size.value)
        return 0

    def cuStreamSynchronize(self, stream: Any) -> int:  # noqa: N802
        return 0 if self._current() and stream.value == 4712 else 201

    def cuGetErrorString(self, status: int, reason: Any) -> int:  # noqa: N802
        reason._obj.value = b"invalid device context" if status == 201 else b"no CUDA-capable device is detected"
        return 0


@pytest.fixture
def fake_driver() -> type[FakeDriver]:
    return FakeDriver
