"""The manifest survives a round trip, and no field of it can be wrong."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strizh.runtime import hashing
from strizh.runtime.bundle import Bundle
from strizh.runtime.engines import Engine, Profile
from strizh.runtime.errors import BundleError
from strizh.runtime.manifest import FORMAT_VERSION, MANIFEST, File, Manifest, Variant, read_manifest, write_manifest

MakeBundle = Callable[..., Path]


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change `strizh.json` in place."""
    path = folder / MANIFEST
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    return folder


def test_round_trip(make_bundle: MakeBundle) -> None:
    folder = make_bundle(
        name="стриж",
        license=None,
        labels=("bird", "plane"),
        warnings=("careful",),
        parity={"portable-fp32": {"cosine": 0.999}},
        prompts={"query": "запрос: ", "": "unnamed"},
        default_prompt_name="query",
    )
    manifest = read_manifest(folder)
    assert manifest.to_json() == (folder / MANIFEST).read_text(encoding="utf-8")
    assert manifest == read_manifest(str(folder))
    assert manifest.variants["portable-fp32"] == Variant("onnx/model.onnx", "portable", "fp32")
    assert manifest.files["tokenizer.json"] == File.of(folder / "tokenizer.json")
    assert manifest.prompts["query"] == "запрос: "


def test_a_manifest_that_cannot_be_written_leaves_the_old_one_alone(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_bundle()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(folder, dataclasses.replace(read_manifest(folder), name="another"))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dimension", 0, "dimension is 0, expected a positive"),
        ("max_length", 2**31, "max_length is 2147483648, expected a positive"),
        ("default_prompt_name", "question", "'question' is not one of the prompts"),
        ("variants", {}, "variants is empty"),
        ("files", {}, "files lacks tokenizer.json"),
        ("variants", {"a": Variant("onnx/other.onnx", "portable", "fp32")}, "needs 'onnx/other.onnx'"),
        ("variants", {"a": Variant("onnx/model.onnx", "portable", "fp32", data=("w",))}, "needs 'w'"),
        ("variants", {"a": Variant("onnx/model.onnx", "portable", "fp32", classifier="c")}, "but there are no labels"),
    ],
)
def test_writer_and_reader_share_the_rules(make_bundle: MakeBundle, field: str, value: Any, message: str) -> None:
    folder = make_bundle()
    with pytest.raises(BundleError, match=message):
        dataclasses.replace(read_manifest(folder), **{field: value})
    plain = {name: dataclasses.asdict(item) for name, item in value.items()} if isinstance(value, dict) else value
    edit(folder, lambda data: data.update({field: plain}))
    with pytest.raises(BundleError, match=message):
        read_manifest(folder)


def test_every_problem_is_in_one_message(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match=r"dimension is -1.*; max_length is 0.*; variants is empty"):
        dataclasses.replace(read_manifest(make_bundle()), dimension=-1, max_length=0, variants={})


def test_engines_are_named_only_where_there_are_any(make_bundle: MakeBundle) -> None:
    """Readers of format 1 from before there were engines refuse the key; bundles of today's writers had an empty list."""
    folder = make_bundle()
    assert "engines" not in json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    edit(folder, lambda data: data.update({"engines": []}))
    manifest = read_manifest(folder)
    assert manifest.engines == () and "engines" not in json.loads(manifest.to_json())
    engine = Engine(
        graph="onnx/model.onnx", file="onnx/model.onnx", provider="TensorrtExecutionProvider", version="10.16.0",
        capabilities=("9.0",), gpu=None, driver=None, stripped=False, profile=Profile(1, 64, 1, 64),
    )  # fmt: skip
    (folder / MANIFEST).write_text(dataclasses.replace(manifest, engines=(engine,)).to_json(), encoding="utf-8")
    assert read_manifest(folder).engines == (engine,)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Manifest)])
def test_no_field_may_have_another_type(make_bundle: MakeBundle, field: str) -> None:
    folder = make_bundle(labels=("bird",))
    known = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get(field, [])  # a list, where it is left out
    for wrong in (None, True, 1, 1.5, "text", [], [1], {"key": 1}, {"key": None}):
        fits_by_type = type(wrong) is type(known) and wrong in ([], "text", 1)
        nullable = wrong in (None, "text") and field in ("license", "default_prompt_name")
        nullable |= wrong is None and field == "vocabulary"
        free = isinstance(wrong, dict) and field in ("spec", "parity")
        if fits_by_type or nullable or free:
            continue
        edit(folder, lambda data, wrong=wrong: data.update({field: wrong}))
        with pytest.raises(BundleError) as caught:
            read_manifest(folder)
        assert field in str(caught.value)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            FORMAT_VERSION + 1,
            f"has format {FORMAT_VERSION + 1}, this runtime reads 1 to {FORMAT_VERSION}. Upgrade strizh",
        ),
        (0, f"has format 0, this runtime reads 1 to {FORMAT_VERSION}. Export it again"),
        ("1", "has no format_version"),
        (True, "has no format_version"),
        (None, "has no format_version"),
    ],
)
def test_another_format_is_said_before_anything_else(make_bundle: MakeBundle, version: Any, message: str) -> None:
    folder = edit(make_bundle(), lambda data: data.update(format_version=version, invention=1, files="none"))
    with pytest.raises(BundleError, match=message):
        read_manifest(folder)


def test_unknown_and_missing_keys_are_named(make_bundle: MakeBundle) -> None:
    folder = edit(make_bundle(), lambda data: [data.update(invention=1), data.pop("pooling")])
    with pytest.raises(BundleError, match="unknown keys 'invention' and missing keys 'pooling'"):
        read_manifest(folder)
    folder = edit(make_bundle(), lambda data: data["variants"]["portable-fp32"].update(speed=9))
    with pytest.raises(BundleError, match=r"variants\['portable-fp32'\] has unknown keys 'speed'"):
        read_manifest(folder)


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a folder"):
        read_manifest(tmp_path / "absent")
    with pytest.raises(BundleError, match=r"holds no strizh\.json"):
        read_manifest(tmp_path)


def test_files_are_checked_by_size_at_once_and_by_hash_on_demand(make_bundle: MakeBundle) -> None:
    bundle = Bundle(make_bundle())
    bundle.verify(bundle.manifest.files)
    path = bundle.path("onnx/model.onnx")
    original = path.read_bytes()
    assert hashing.sha256(path) == bundle.manifest.files["onnx/model.onnx"].sha256
    path.write_bytes(original[:-1])
    with pytest.raises(BundleError, match=f"has {len(original) - 1} bytes, the manifest says {len(original)}"):
        bundle.path("onnx/model.onnx")
    path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    bundle.path("onnx/model.onnx")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        bundle.verify(["tokenizer.json", "onnx/model.onnx"])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("at", [0, 99, 100, -1])
def test_every_byte_of_every_block_is_hashed(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, at: int, threads: int
) -> None:
    monkeypatch.setattr(hashing, "BLOCK", 100)
    bundle = Bundle(make_bundle())
    path, file = bundle.path("onnx/model.onnx"), bundle.manifest.files["onnx/model.onnx"]
    content = bytearray(path.read_bytes())
    assert len(file.blocks) == -(-len(content) // 100) > 2
    bundle.verify(bundle.manifest.files, threads)
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.onnx is not the file that was exported"):
        bundle.verify(bundle.manifest.files, threads)


def test_a_file_of_one_block_has_no_blocks(make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_bundle()
    size = (folder / "onnx/model.onnx").stat().st_size
    monkeypatch.setattr(hashing, "BLOCK", size)
    assert File.of(folder / "onnx/model.onnx").blocks == ()
    monkeypatch.setattr(hashing, "BLOCK", size - 1)
    assert len(File.of(folder / "onnx/model.onnx").blocks) == 2


@pytest.mark.parametrize(
    ("blocks", "message"), [(["0" * 64], "1 blocks, expected 0"), (["x"], "no proper size and SHA-256")]
)
def test_wrong_blocks_are_refused(make_bundle: MakeBundle, blocks: list[str], message: str) -> None:
    folder = edit(make_bundle(), lambda data: data["files"]["onnx/model.onnx"].update(blocks=blocks))
    with pytest.raises(BundleError, match=message):
        read_manifest(folder)
