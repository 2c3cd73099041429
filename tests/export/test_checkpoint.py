"""Reading checkpoints: what is used, what is named, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from strizh.export.checkpoint import Checkpoint, read_checkpoint
from strizh.export.families import find_family
from strizh.export.spec import EncoderSpec, Positions
from strizh.export.weights import Weights, bind
from strizh.runtime.errors import CheckpointError, Error, UnsupportedModel

MakeCheckpoint = Callable[..., Path]
Tensors = dict[str, np.ndarray]


def opened(folder: Path) -> tuple[Checkpoint, EncoderSpec, Weights, tuple[str, ...]]:
    checkpoint = read_checkpoint(folder)
    family = find_family(checkpoint)
    spec = family.describe(checkpoint)
    return checkpoint, spec, *bind(checkpoint, spec, family.sources(checkpoint, spec), family.IGNORED)


def changed(folder: Path, key: str, value: object) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    return folder


def without(*names: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name not in names}


def renamed(change: Callable[[str], str]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {change(name): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("kind", "config", "family"),
    [
        ("bert", {}, "bert"),
        ("xlm-roberta", {}, "xlm-roberta"),
        ("xlm-roberta", {"model_type": "roberta"}, "xlm-roberta"),
        ("ropebert", {}, "ropebert"),
        ("ropebert", {"architectures": None, "auto_map": None}, "ropebert"),  # rope_theta and no table tell
        (
            "ropebert",
            {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "rope_theta": 500.0},
            "ropebert",
        ),
    ],
)
def test_the_family_is_found(
    make_checkpoint: MakeCheckpoint, kind: str, config: dict[str, object], family: str
) -> None:
    assert opened(make_checkpoint(kind, config=config))[1].family == family


def test_a_bert_without_its_position_table_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("bert", change=without("embeddings.position_embeddings.weight"))
    with pytest.raises(CheckpointError, match=r"no embeddings\.position_embeddings\.weight"):
        opened(folder)


def test_a_ropebert_with_a_position_table_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("bert", config={"architectures": ["RoPEBertModel"]})
    with pytest.raises(CheckpointError, match="Expected one kind of position"):
        opened(folder)


def test_an_unknown_model_names_the_families_and_the_way_out(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("bert", config={"model_type": "mamba", "architectures": ["MambaModel"]})
    with pytest.raises(UnsupportedModel, match=r"'mamba'.*ropebert, bert, xlm-roberta.*--method trace"):
        opened(folder)


def test_rotary_scaling_in_both_spellings(make_checkpoint: MakeCheckpoint) -> None:
    old = make_checkpoint(config={"rope_scaling": {"type": "dynamic", "factor": 2.0}}, name="old")
    new = make_checkpoint(
        config={
            "rope_theta": 10000.0,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0},
        },
        name="new",
    )
    assert opened(old)[1] == opened(new)[1]


@pytest.mark.parametrize("scaling", [{"type": "yarn", "factor": 2.0}, {"type": "linear", "factor": 0.5}])
def test_a_scaling_that_is_not_known_or_shrinks_is_refused(make_checkpoint: MakeCheckpoint, scaling: object) -> None:
    with pytest.raises(Error, match="RoPE scaling"):
        opened(make_checkpoint(config={"rope_scaling": scaling}))


@pytest.mark.parametrize("prefix", ["bert.", "roberta.", ""])
def test_prefixes_and_old_norm_names_give_the_same_weights(make_checkpoint: MakeCheckpoint, prefix: str) -> None:
    def old(name: str) -> str:
        gamma = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        return prefix + gamma

    plain = opened(make_checkpoint("bert", name="plain"))[2]
    other = opened(make_checkpoint("bert", change=renamed(old), name="other"))[2]
    assert plain.keys() == other.keys()
    for slot in plain:
        np.testing.assert_array_equal(plain[slot], other[slot])


def test_the_token_type_is_folded_into_what_is_added_anyway(make_checkpoint: MakeCheckpoint) -> None:
    for kind, slot, name in (("bert", "position", "position"), ("ropebert", "word", "word")):
        checkpoint, _, weights, _ = opened(make_checkpoint(kind, name=kind))
        table = checkpoint.tensors[f"embeddings.{name}_embeddings.weight"]
        types = checkpoint.tensors["embeddings.token_type_embeddings.weight"]
        np.testing.assert_array_equal(weights[f"embeddings.{slot}"], table + types[0])


def test_missing_surplus_and_misshapen_tensors_are_reported_together(make_checkpoint: MakeCheckpoint) -> None:
    def broken(tensors: Tensors) -> Tensors:
        tensors = without("encoder.layer.1.output.dense.bias", "embeddings.LayerNorm.weight")(tensors)
        return tensors | {"encoder.layer.0.adapter.weight": np.zeros(3, np.float32)}

    with pytest.raises(CheckpointError) as caught:
        opened(make_checkpoint(change=broken))
    for name in ("encoder.layer.1.output.dense.bias", "embeddings.LayerNorm.weight", "encoder.layer.0.adapter.weight"):
        assert name in str(caught.value)
    narrow = load_file(make_checkpoint(name="narrow") / "model.safetensors")
    misshapen = make_checkpoint(config={"intermediate_size": 41}, change=lambda _: narrow, name="misshapen")
    with pytest.raises(
        CheckpointError, match=r"encoder.layer.0.intermediate.dense.weight is \[40, 24\], expected \[41, 24\]"
    ):
        opened(misshapen)


def test_heads_that_sentence_vectors_do_not_need_are_named(make_checkpoint: MakeCheckpoint) -> None:
    def with_head(tensors: Tensors) -> Tensors:
        return tensors | {
            "cls.predictions.bias": np.zeros(40, np.float32),
            "pooler.dense.bias": np.zeros(24, np.float32),
        }

    assert opened(make_checkpoint(change=with_head))[3] == ("cls.predictions.bias", "pooler.dense.bias")


def test_weights_that_are_not_finite_are_refused_by_name(make_checkpoint: MakeCheckpoint) -> None:
    def poisoned(tensors: Tensors) -> Tensors:
        tensors["encoder.layer.0.output.dense.weight"][0, 0] = np.nan
        return tensors

    weights = opened(make_checkpoint(change=poisoned))[2]
    with pytest.raises(CheckpointError, match=r"'encoder.layer.0.output.dense.weight'.*NaN"):
        weights["layers.0.mlp.down.weight"]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_stored_precisions_become_float32(make_checkpoint: MakeCheckpoint, dtype: type) -> None:
    folder = make_checkpoint(change=lambda tensors: {name: tensor.astype(dtype) for name, tensor in tensors.items()})
    weights = opened(folder)[2]
    assert all(weights[slot].dtype == np.float32 for slot in weights)


def test_shards_are_read_as_one(make_checkpoint: MakeCheckpoint) -> None:
    whole = make_checkpoint(name="whole")
    sharded = shutil.copytree(whole, whole.parent / "sharded")
    tensors = load_file(sharded / "model.safetensors")
    (sharded / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for part, members in parts.items():
        save_file({name: tensors[name] for name in members}, sharded / part)
    index = {"weight_map": {name: part for part, members in parts.items() for name in members}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    one, two = opened(whole)[2], opened(sharded)[2]
    for slot in one:
        np.testing.assert_array_equal(one[slot], two[slot])
    (sharded / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"b\.safetensors"):
        opened(sharded)


def test_a_torch_file_is_read_as_weights_only(make_checkpoint: MakeCheckpoint) -> None:
    torch = pytest.importorskip("torch")
    folder = make_checkpoint()
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, folder / "pytorch_model.bin")
    assert opened(folder)[2]["layers.0.mlp.up.bias"].shape == (40,)


class Attack:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("code from a model repository ran",)


def test_a_torch_file_with_code_is_refused(make_checkpoint: MakeCheckpoint, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    folder = make_checkpoint()
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Attack()}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be read as plain weights"):
        opened(folder)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_or_cut_file_is_one_clear_error(make_checkpoint: MakeCheckpoint, damage: str) -> None:
    folder = make_checkpoint()
    content = (folder / damage).read_bytes()
    (folder / damage).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=damage):
        opened(folder)
    (folder / damage).unlink()
    with pytest.raises(CheckpointError, match=damage.split(".")[0]):
        opened(folder)


def test_a_slow_tokenizer_is_refused_with_the_command(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_checkpoint()
    (folder / "tokenizer.json").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(b"not a model")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(CheckpointError, match=r"only a slow tokenizer \(sentencepiece\.bpe\.model\).*save_pretrained"):
        opened(folder)


def test_a_slow_wordpiece_tokenizer_is_converted_where_transformers_is(make_checkpoint: MakeCheckpoint) -> None:
    pytest.importorskip("transformers")
    folder = make_checkpoint("bert")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "стриж", "swift"]))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": False})
    )
    facts = read_checkpoint(folder).tokenizer
    assert (facts.vocab_size, facts.pad_token_id) == (7, 0)


def test_xlm_roberta_loses_the_rows_of_padding(make_checkpoint: MakeCheckpoint) -> None:
    spec = opened(make_checkpoint("xlm-roberta"))[1]
    assert (spec.max_positions, spec.position_offset, spec.positions) == (32, 2, Positions.ABSOLUTE_BY_ID)


def test_modules_cannot_point_outside(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    steps = [{"idx": 0, "path": "../..", "type": "x.Transformer"}, {"idx": 1, "path": "1_Pooling", "type": "x.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(steps))
    with pytest.raises(CheckpointError, match="outside the checkpoint"):
        opened(folder)


@pytest.mark.parametrize("key", ["hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size", "intermediate_size"])
@pytest.mark.parametrize("value", ["24", 0, -2, 2.5, True, None, [24], 1e30])
def test_a_size_that_is_none_is_named(make_checkpoint: MakeCheckpoint, key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=key):
        opened(changed(make_checkpoint(), key, value))


def test_a_bundle_is_no_checkpoint(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    (folder / "model.safetensors").unlink()
    (folder / "strizh.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is a bundle already"):
        opened(folder)
