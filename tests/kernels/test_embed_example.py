"""The C program of kernels/examples embeds token ids as Python does, bit for bit."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from tokenizers import Tokenizer

import strizh
from strizh.export import export_model
from strizh.kernels import library_path

_ROOT = Path(__file__).parents[2]
_EXAMPLES = _ROOT / "kernels/examples"
_RUNTIME = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
_COMPILER = shutil.which("cc")

TEXTS = [
    "Стриж спит на лету.",
    "A swift sleeps on the wing.",
    "",
    "Москва стоит на семи холмах, и каждый из них спорит о том, который из семи он сам. " * 8,
]

pytestmark = [
    pytest.mark.skipif(library_path() is None, reason="the kernels were not built"),
    pytest.mark.skipif(_COMPILER is None, reason="no C compiler is installed"),
    pytest.mark.skipif(not _RUNTIME, reason="the onnxruntime package has no libonnxruntime.so"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """embed.c, compiled without a warning."""
    out = tmp_path_factory.mktemp("embed") / "embed"
    command = [_COMPILER, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", _EXAMPLES / "embed.c", "-ldl", "-o", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module", params=["mean", "cls"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whose vectors are of all tokens, or of one: that graph has an input more."""
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    variants = ["cpu-fp32", "cpu-bf16"]
    export_model(_ROOT / "tests/data/rope-e5-tiny-ru", folder, variants=variants, pooling=request.param, verify=False)
    return folder


def embed(program: Path, graph: Path, ids: str) -> subprocess.CompletedProcess[str]:
    command = [program, _RUNTIME[0], library_path(), graph]
    return subprocess.run(command, input=ids, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("variant", ["cpu-fp32", "cpu-bf16"])
def test_the_same_bits_as_python(program: Path, bundle: Path, variant: str) -> None:
    with strizh.load(bundle, variant=variant) as encoder:
        expected = encoder.encode(TEXTS, prompt="")
        graph = bundle / encoder.manifest.variants[variant].file
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    lines = [" ".join(map(str, encoding.ids)) for encoding in tokenizer.encode_batch(TEXTS)]

    done = embed(program, graph, "\n".join(lines) + "\n")

    assert done.returncode == 0, done.stderr
    vectors = np.array([line.split() for line in done.stdout.splitlines()], np.float32)
    np.testing.assert_array_equal(vectors, expected)


@pytest.mark.parametrize(
    ("ids", "reason"), [("0 99999999 2\n", "expected 0 to"), ("0 6 seven 2\n", "other than token ids")]
)
def test_bad_ids_are_one_line(program: Path, bundle: Path, ids: str, reason: str) -> None:
    done = embed(program, bundle / "packed/cpu_bf16.onnx", ids)
    assert done.returncode == 1
    assert reason in done.stderr and done.stdout == ""


def with_input(graph: Path, name: str, optional: bool) -> Path:
    """The same graph beside it, which has one input more that no node takes."""
    model = onnx.load(graph, load_external_data=False)
    model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT32, [1]))
    if optional:
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT32, [1], [1]))
    changed = graph.with_name(f"{name}.onnx")
    onnx.save(model, changed)
    return changed


def test_an_optional_input_that_it_does_not_know_keeps_its_value(program: Path, bundle: Path) -> None:
    graph = bundle / "packed/cpu_fp32.onnx"
    plain, changed = (embed(program, at, "0 6 7 2\n") for at in (graph, with_input(graph, "unknown", optional=True)))
    assert changed.returncode == 0, changed.stderr
    assert changed.stdout == plain.stdout


def test_an_input_that_it_cannot_give_is_named_in_one_line(program: Path, bundle: Path) -> None:
    graph = with_input(bundle / "packed/cpu_fp32.onnx", "token_type_ids", optional=False)
    done = embed(program, graph, "0 6 7 2\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("embed: the graph also needs the input 'token_type_ids'; expected a cpu-* variant")
    assert done.stderr.count("\n") == 1


def test_the_example_is_short() -> None:
    assert len((_EXAMPLES / "embed.c").read_text().splitlines()) <= 150
