"""`strizh inspect` shows what the manifest says, to a person and to a program."""

import json

from strizh.runtime.manifest import read_manifest

PARITY = {"portable-fp32": {"against": "the spec", "texts": 8, "cosine_min": 0.99999987, "max_abs": 3e-8, "rank": None}}


def test_a_person_finds_the_facts(strizh, make_bundle):
    bundle = make_bundle(
        default_prompt_name="query", parity=PARITY, warnings=("longer than it was trained for",), license="Apache-2.0"
    )
    status, shown, _ = strizh("inspect", bundle)
    assert status == 0
    for fact in ("tiny", "made by a test", "Apache-2.0", "8 numbers, mean pooling, not normalised", "12 tokens"):
        assert fact in shown
    assert '"query: "   (default)' in shown and '"passage: "\n' in shown
    assert "portable-fp32  fp32" in shown and "onnx/model.onnx" in shown
    assert "0.9999999" in shown and "3.0e-08" in shown
    assert "rank" not in shown  # a figure that no variant has
    assert "longer than it was trained for" in shown


def test_what_verify_adds_has_a_line_of_its_own(strizh, make_bundle):
    grid = {"against": "PyTorch", "cosine_min": 0.5, "cosine_by_length": {"1": 0.25}, "prompts": ["query"]}
    _, shown, _ = strizh("inspect", make_bundle(parity={"portable-fp32": {**PARITY["portable-fp32"], "grid": grid}}))
    line = next(line for line in shown.splitlines() if "portable-fp32, grid" in line)
    assert "PyTorch" in line and "0.5000000" in line
    assert "0.25" not in shown


def test_the_architecture_is_read_from_the_spec(strizh, make_bundle):
    rope = {"theta": 10000.0, "dim": 4, "scaling": "dynamic", "factor": 2.0, "trained_positions": 512}
    spec = {
        "family": "ropebert", "layers": [{"rope": rope}] * 3, "hidden_size": 8, "num_heads": 2, "head_size": 4,
        "intermediate_size": 3072, "vocab_size": 69382, "positions": "rotary", "max_positions": 512,
    }  # fmt: skip
    _, shown, _ = strizh("inspect", make_bundle(spec=spec))
    assert "ropebert, 3 layers × 8, 2 heads of 4, feed-forward 3,072, vocabulary 69,382" in shown
    assert "rotary, theta 10000, 512 trained, dynamic scaling × 2" in shown
    spec = spec | {"layers": [{"rope": None}], "positions": "absolute"}
    assert "absolute, 512 trained" in strizh("inspect", make_bundle(spec=spec))[1]


def test_json_is_the_manifest(strizh, make_bundle):
    bundle = make_bundle(parity=PARITY)
    status, shown, _ = strizh("inspect", bundle, "--json")
    assert status == 0
    assert shown == read_manifest(bundle).to_json()
    assert json.loads(shown)["parity"] == PARITY


def test_what_is_no_bundle_is_one_line(strizh, tmp_path):
    status, shown, error = strizh("inspect", tmp_path)
    assert (status, shown) == (2, "") and error.startswith("strizh: error: ") and error.count("\n") == 1


def test_a_manifest_cannot_redraw_the_page(strizh, make_bundle):
    bundle = make_bundle(name="tiny\x1b[2J\nlicence       MIT", warnings=("\u202etxet",), prompts={"query": "query:\t"})
    _, shown, _ = strizh("inspect", bundle)
    assert "\x1b" not in shown and "\u202e" not in shown
    assert shown.splitlines()[0].startswith(r"tiny\x1b[2J\nlicence       MIT — a bundle") and r"\u202etxet" in shown
