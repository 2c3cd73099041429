"""Graphs made by tracing: right at every shape, and like the built ones in everything that a runtime sees."""

import dataclasses
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers

from strizh.export.checkpoint import read_checkpoint
from strizh.export.families import find_family
from strizh.export.rope import parse_scaling, rescale
from strizh.export.spec import Pooling, Projection
from strizh.export.targets import portable
from strizh.export.trace import RoPEBertModel, trace_model
from strizh.export.trace.check import check
from strizh.export.trace.onnx_export import to_onnx
from strizh.export.trace.sentence import SentenceEncoder
from strizh.export.weights import bind
from strizh.kernels import reference
from strizh.runtime.errors import CheckpointError, ParityError, UnsupportedModel, UsageError

pytestmark = pytest.mark.slow  # torch takes some five seconds a trace

FLOAT32_NOISE = 1e-5  # some hundred roundings of 6e-8 on values of order one
TRAINED = 8  # of the golden configuration
LENGTHS = [1, TRAINED - 1, TRAINED, TRAINED + 1, 2 * TRAINED, 5 * TRAINED]


def feed(*lengths, vocab_size=50, pad=1, seed=0):
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    words = np.random.default_rng(seed).integers(pad + 1, vocab_size, mask.shape)
    return {"input_ids": np.where(mask, words, pad), "attention_mask": mask}


def run(model, inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["token_embeddings", "sentence_embedding"], inputs)


def tensors(inputs):
    return {name: torch.from_numpy(value) for name, value in inputs.items()}


def signature(model):
    def describe(values):
        return [
            (v.name, v.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
            for v in values
        ]

    return describe(model.graph.input), describe(model.graph.output)


def built_portable(folder, rope_scaling, ntk_length):
    checkpoint = read_checkpoint(folder)
    family = find_family(checkpoint)
    spec = rescale(family.describe(checkpoint), *parse_scaling(rope_scaling))
    spec = dataclasses.replace(spec, ntk_length=ntk_length)
    weights, _ = bind(checkpoint, spec, family.sources(checkpoint, spec), family.IGNORED)
    return portable.build(spec, weights)


@pytest.fixture(
    scope="module",
    params=[("none", "text"), ("linear:2.0", "text"), ("dynamic:2.0", "text"), ("dynamic:2.0", "batch")],
    ids=lambda chosen: "-".join(chosen),
)
def settings(request):
    return request.param


@pytest.fixture(scope="module")
def traced(settings, golden_folder):
    scaling, ntk_length = settings
    return trace_model(golden_folder, rope_scaling=scaling, ntk_length=ntk_length)


def test_traced_rope_bert_is_the_module_on_both_sides_of_the_trained_length(traced, settings, golden_folder):
    scaling, ntk_length = settings
    kind, factor = parse_scaling(scaling)
    rope_scaling = None if scaling == "none" else {"type": kind.value, "factor": factor}
    module = RoPEBertModel.from_pretrained(golden_folder, rope_scaling=rope_scaling, ntk_length=ntk_length)
    for length in LENGTHS:
        inputs = feed(length, max(1, length - 3))
        with torch.no_grad():
            expected = module(**tensors(inputs))
        token_embeddings, sentence_embedding = run(traced, inputs)
        seen = inputs["attention_mask"].astype(bool)
        np.testing.assert_allclose(
            token_embeddings[seen], expected.last_hidden_state.numpy()[seen], rtol=0, atol=FLOAT32_NOISE
        )
        np.testing.assert_allclose(sentence_embedding, expected.pooler_output.numpy(), rtol=0, atol=FLOAT32_NOISE)


def test_traced_rope_bert_is_the_built_graph(traced, settings, golden_folder):
    built = built_portable(golden_folder, *settings)
    assert signature(traced) == signature(built)
    assert traced.ir_version == built.ir_version
    for length in LENGTHS:
        inputs = feed(length, max(1, length - 3))
        seen = inputs["attention_mask"].astype(bool)
        (tokens, vectors), (built_tokens, built_vectors) = run(traced, inputs), run(built, inputs)
        np.testing.assert_allclose(tokens[seen], built_tokens[seen], rtol=0, atol=FLOAT32_NOISE)
        np.testing.assert_allclose(vectors, built_vectors, rtol=0, atol=FLOAT32_NOISE)


def test_the_graph_holds_nothing_but_standard_onnx(traced):
    onnx.checker.check_model(traced, full_check=True)
    assert [opset.domain for opset in traced.opset_import] == [""]
    read = {name for node in traced.graph.node for name in node.input}
    assert all(tensor.name in read and tensor.raw_data for tensor in traced.graph.initializer)
    assert b"/" + b"site-packages" not in traced.SerializeToString()  # torch's stack traces name this machine's files
    assert b".py" not in traced.SerializeToString()


def test_a_branch_on_the_length_is_noticed(golden_folder):
    """The known trap: a Python `if` exports without an error and is wrong beyond the branch it took."""

    class Branching(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = RoPEBertModel.from_pretrained(golden_folder)
            self.config = self.plain.config
            self.long = RoPEBertModel.from_pretrained(golden_folder, rope_scaling={"type": "linear", "factor": 4.0})

        def forward(self, input_ids, attention_mask):
            chosen = self.long if input_ids.shape[1] > TRAINED else self.plain
            return chosen(input_ids, attention_mask)

    module = SentenceEncoder(Branching(), [Pooling.MEAN]).eval()
    with pytest.raises((UnsupportedModel, ParityError)):  # torch's guard or our comparison, whichever sees it first
        check(to_onnx(module, 50), module, [(2, TRAINED), (2, TRAINED + 1)], 50, 1)


def test_the_check_names_the_shape_where_a_graph_goes_wrong(golden_folder):
    unscaled = SentenceEncoder(RoPEBertModel.from_pretrained(golden_folder), [Pooling.MEAN]).eval()
    dynamic = RoPEBertModel.from_pretrained(golden_folder, rope_scaling={"type": "dynamic", "factor": 2.0})
    model = to_onnx(unscaled, 50)
    check(model, unscaled, [(2, TRAINED), (2, TRAINED + 1)], 50, 1)
    with pytest.raises(ParityError, match="away from PyTorch at 2 x 9 tokens"):
        check(model, SentenceEncoder(dynamic, [Pooling.MEAN]).eval(), [(2, TRAINED), (2, TRAINED + 1)], 50, 1)


MODELS = {
    # one layer that sees everything, one with windows of 4 tokens to each side, and a rotary base for each
    "modernbert": lambda: transformers.ModernBertModel(
        transformers.ModernBertConfig(
            vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            local_attention=8, pad_token_id=1, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
        )
    ),
    "t5": lambda: transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=50, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, pad_token_id=1, feed_forward_proj="gated-gelu"
        )
    ),
    "qwen3": lambda: transformers.Qwen3Model(
        transformers.Qwen3Config(
            vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=8, pad_token_id=1,
        )
    ),
}  # fmt: skip


@pytest.fixture(params=MODELS)
def other(request, tmp_path):
    """A small random encoder of an architecture that transformers knows, and its folder."""
    torch.manual_seed(7)
    model = MODELS[request.param]().eval()
    for parameter in model.parameters():  # transformers' initialisation is so small that mistakes would not show
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path)
    return model, tmp_path


def test_an_encoder_without_a_family_is_traced(other):
    model, folder = other
    last = type(model).__name__ == "Qwen3Model"
    traced = trace_model(folder, pooling=[Pooling.LAST if last else Pooling.MEAN], normalize=True)
    assert signature(traced) == (
        [("input_ids", 7, ["batch", "sequence"]), ("attention_mask", 7, ["batch", "sequence"])],
        [
            ("token_embeddings", 1, ["batch", "sequence", 16]),
            ("sentence_embedding", 1, ["batch", 16]),
            ("last_hidden_state", 1, ["batch", "sequence", 16]),
        ],
    )
    for lengths in ((1,), (5, 40, 12), (300,)):
        inputs = feed(*lengths)
        _, vectors = run(traced, inputs)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=0, atol=FLOAT32_NOISE)
        for row, length in enumerate(lengths):  # each text alone, in PyTorch
            with torch.no_grad():
                hidden = model(
                    input_ids=torch.from_numpy(inputs["input_ids"][row : row + 1, :length])
                ).last_hidden_state
            expected = hidden[0, -1] if last else hidden[0].mean(dim=0)
            expected = (expected / expected.norm()).numpy()
            np.testing.assert_allclose(vectors[row], expected, rtol=0, atol=2e-5)


def test_every_pooling_is_that_of_the_reference_and_projections_follow(golden_folder):
    modes = [mode for mode in Pooling if mode is not Pooling.FIRST_TOKEN_TRANSFORM]
    rng = np.random.default_rng(3)
    dense = {
        "projections.0.weight": rng.normal(size=(5, 16 * len(modes))).astype(np.float32),
        "projections.0.bias": rng.normal(size=5).astype(np.float32),
    }
    projection = Projection(16 * len(modes), 5, bias=True, activation="tanh")
    traced = trace_model(golden_folder, pooling=modes, projections=[projection], dense=dense)
    inputs = feed(9, 4, 1)
    tokens, vectors = run(traced, inputs)
    packed, cu_seqlens = tokens[inputs["attention_mask"].astype(bool)], [0, 9, 13, 14]
    pooled = [reference.pool(packed, cu_seqlens, mode) for mode in modes]
    expected = np.tanh(np.concatenate(pooled, axis=1) @ dense["projections.0.weight"].T + dense["projections.0.bias"])
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=FLOAT32_NOISE)


def test_the_models_own_pooler_is_traced(golden_folder):
    traced = trace_model(golden_folder, pooling=[Pooling.FIRST_TOKEN_TRANSFORM])
    module = RoPEBertModel.from_pretrained(golden_folder, pooler_type="first_token_transform")
    inputs = feed(6, 3)
    with torch.no_grad():
        expected = module(**tensors(inputs)).pooler_output.numpy()
    np.testing.assert_allclose(run(traced, inputs)[1], expected, rtol=0, atol=FLOAT32_NOISE)


def test_a_text_without_tokens_is_zero(traced):
    inputs = feed(4, 4)
    inputs["attention_mask"][1] = 0
    assert not run(traced, inputs)[1][1].any()


def test_a_pooler_that_would_be_random_is_refused(write_checkpoint):
    def without_pooler(tensors):
        return {name: tensor for name, tensor in tensors.items() if "pooler" not in name}

    with pytest.raises(CheckpointError, match=r"missing: pooler\.dense\.bias, pooler\.dense\.weight"):
        trace_model(write_checkpoint(without_pooler), pooling=[Pooling.FIRST_TOKEN_TRANSFORM])


def test_a_position_table_that_would_be_random_is_refused(tmp_path):
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24
    )
    model = transformers.BertModel(config)
    model.save_pretrained(tmp_path, state_dict={k: v for k, v in model.state_dict().items() if "position_emb" not in k})
    with pytest.raises(CheckpointError, match=r"missing: embeddings\.position_embeddings\.weight"):
        trace_model(tmp_path)


def test_remote_code_is_refused_and_not_run(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "swift", "auto_map": {"AutoConfig": "swift.Config", "AutoModel": "swift.Model"}})
    )
    (tmp_path / "swift.py").write_text("raise SystemExit('remote code ran')")
    with pytest.raises(UnsupportedModel, match="never runs a checkpoint's remote code"):
        trace_model(tmp_path)


def test_rope_scaling_is_for_rope_bert(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "modernbert"}')
    with pytest.raises(UsageError, match="is for RoPEBert"):
        trace_model(tmp_path, rope_scaling="dynamic:2.0")
