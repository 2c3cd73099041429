"""Broken, cut off and hostile manifests, paths and files: one clear line each, and nothing outside the folder is opened."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import strizh
from strizh.runtime.manifest import MANIFEST, File

MakeBundle = Callable[..., Path]
Refuses = Callable[[Path, str], None]
MODEL = "onnx/model.onnx"


def rewrite(folder: Path, change: Callable[[str], str]) -> Path:
    path = folder / MANIFEST
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def renamed(name: str, **file: object) -> Callable[[str], str]:
    """The manifest with its model under another name."""

    def change(text: str) -> str:
        data = json.loads(text)
        data["files"][name] = {**data["files"].pop(MODEL), **file}
        data["variants"]["portable-fp32"]["file"] = name
        return json.dumps(data)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "is not valid JSON"),
        (lambda text: text[: len(text) // 2], "is not valid JSON"),
        (lambda text: "[" * 200_000, "is not valid JSON: it is nested too deeply"),
        (lambda text: '{"a":' * 200_000, "is not valid JSON: it is nested too deeply"),
        (lambda text: "[]", "has no format_version"),
        (lambda text: "7", "has no format_version"),
        (lambda text: text.replace('"dimension": 8', '"dimension": NaN'), "NaN is no JSON number"),
        (lambda text: text.replace('"dimension": 8', '"dimension": -Infinity'), "-Infinity is no JSON number"),
        (lambda text: text.replace('"dimension": 8', '"dimension": 1e999'), "beyond the range"),
        (lambda text: text.replace('"dimension": 8', '"dimension": 8.0'), "dimension is the number 8.0"),
        (lambda text: text.replace('"dimension": 8', f'"dimension": {"9" * 5000}'), "is not valid JSON"),
        (lambda text: text.replace('"dimension": 8', '"dimension": 8, "dimension": 9'), "'dimension' occurs twice"),
        (lambda text: text.replace('"parity": {}', '"parity": {"portable-fp32": 3}'), "parity.*is the number 3"),
        (lambda text: text.replace('"spec": {', '"spec": {"hidden_size": "8",'), "spec has hidden_size '8', expected int or"),
        (lambda text: text.replace('"spec": {', '"spec": {"hidden_size": true,'), "spec has hidden_size True, expected int"),
        (lambda text: text.replace('"spec": {', '"spec": {"projections": 7,'), "spec has projections 7, expected list or null"),
        (lambda text: text.replace('"size": ', '"size": -'), "no proper size"),
        (lambda text: text.replace('"sha256": "', '"sha256": "../'), "no proper size and SHA-256"),
    ],
    ids=str,
)
def test_manifests(make_bundle: MakeBundle, refuses: Refuses, change: Callable[[str], str], message: str) -> None:
    refuses(rewrite(make_bundle(), change), message)


def test_manifest_that_is_no_text(make_bundle: MakeBundle, refuses: Refuses) -> None:
    folder = make_bundle()
    (folder / MANIFEST).write_bytes(b"\xff\xfe\x00")
    refuses(folder, "cannot be read")


def test_huge_manifest_is_not_read(make_bundle: MakeBundle, refuses: Refuses) -> None:
    folder = make_bundle()
    with (folder / MANIFEST).open("r+b") as stream:
        stream.truncate(1 << 40)  # sparse: takes no space
    refuses(folder, "larger than 64 MiB")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/etc/passwd", "is an absolute path"),
        ("../model.onnx", "leaves or repeats its folder"),
        ("onnx/../../model.onnx", "leaves or repeats its folder"),
        ("./onnx/model.onnx", "leaves or repeats its folder"),
        ("onnx//model.onnx", "leaves or repeats its folder"),
        ("onnx/model.onnx/", "leaves or repeats its folder"),
        ("", "is empty"),
        ("a" * 2000, "is empty or longer"),
        ("onnx/model.onnx\0.txt", "holds the character '\\\\x00'"),
        ("onnx\\model.onnx", "holds the character"),
        ("C:model.onnx", "holds the character ':'"),
        ("onnx/mod\nel.onnx", "holds the character"),
        ("absent.onnx", "absent.onnx is not there"),
        ("onnx", "onnx is not a file"),
        ("onnx/model.onnx/model.onnx", "cannot be opened|is not there"),
        ("a" * 300, "cannot be opened"),
    ],
)
def test_paths(make_bundle: MakeBundle, refuses: Refuses, name: str, message: str) -> None:
    refuses(rewrite(make_bundle(), renamed(name)), message)


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_links(make_bundle: MakeBundle, refuses: Refuses, tmp_path: Path) -> None:
    folder = make_bundle()
    outside = tmp_path / "outside.onnx"
    (folder / MODEL).rename(outside)
    (folder / MODEL).symlink_to(outside)
    refuses(folder, "is a link to a place outside the bundle")
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to(folder / MODEL)
    refuses(folder, "cannot be opened|is not there")
    (folder / MODEL).unlink()
    (folder / "onnx").rmdir()
    (tmp_path / "elsewhere").mkdir()
    outside.rename(tmp_path / "elsewhere/model.onnx")
    (folder / "onnx").symlink_to(tmp_path / "elsewhere")
    refuses(folder, "is a link to a place outside the bundle")
    folder = make_bundle()
    (folder / MANIFEST).rename(tmp_path / MANIFEST)
    (folder / MANIFEST).symlink_to(tmp_path / MANIFEST)
    refuses(folder, "is a link to a place outside the bundle")


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_links_inside_the_bundle_are_files_like_others(make_bundle: MakeBundle, tmp_path: Path) -> None:
    folder = make_bundle()
    (folder / MODEL).rename(folder / "blob")
    (folder / MODEL).symlink_to("../blob")
    (tmp_path / "link").symlink_to(folder)
    with strizh.load(tmp_path / "link") as encoder:
        assert encoder.encode("a").any()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(make_bundle: MakeBundle, refuses: Refuses) -> None:
    folder = make_bundle()
    (folder / MODEL).unlink()
    os.mkfifo(folder / MODEL)
    refuses(folder, "is not a file")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_cut_off_files(make_bundle: MakeBundle, refuses: Refuses, kept: float) -> None:
    for name in (MODEL, "tokenizer.json"):
        folder = make_bundle()
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * kept)])
        refuses(folder, f"has {int(len(data) * kept)} bytes, the manifest says {len(data)}")


def test_replaced_files(make_bundle: MakeBundle, refuses: Refuses) -> None:
    for name in (MODEL, "tokenizer.json"):
        folder = make_bundle()
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        refuses(folder, f"{name} is not (the file that was exported|a whole ONNX file)")


def test_files_that_nobody_vouches_for_do_not_matter(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    (folder / "onnx/extra.onnx").write_bytes(b"anything")
    with strizh.load(folder) as encoder:
        assert encoder.encode("a").any()
        assert File.of(folder / MODEL) == encoder.manifest.files[MODEL]
