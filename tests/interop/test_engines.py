"""A bundle's vectors are the same in the engines that people already have: each `with_ENGINE` script runs in its own environment.

`make interop` makes the environments that are not there.
"""

import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

import strizh
from benchmarks import environments
from strizh.export import export_model
from strizh.runtime.errors import TruncationWarning

HERE = Path(__file__).parent
CHECKPOINT = HERE.parent / "data/rope-e5-tiny-ru"
ENGINES = {
    "onnxruntime": environments.MAIN,
    "openvino": "openvino",
    "fastembed": "fastembed",
    "optimum": "optimum",
    "sentence_transformers": "optimum",
    "transformers_js": "node",
    "onnxruntime_web": "node",
}
TEXTS = [
    "query: Как быстро летает стриж?",
    "passage: The common swift reaches more than a hundred kilometres an hour in level flight.",
    "ё",
    "",
]
TOO_LONG = "passage: Стрижи спят на лету, поднимаясь вечером на два-три километра. " * 60
# The tokenizer of transformers.js cuts a text that is too long after it has put the special tokens in, and loses the last.
CUTS_DIFFERENTLY = {"transformers_js", "onnxruntime_web"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interop") / "rope-e5-tiny-ru"
    export_model(CHECKPOINT, folder, variants=["portable-fp32"], verify=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_vectors_are_those_of_strizh(engine: str, bundle: Path):
    (script,) = HERE.glob(f"with_{engine}.*")
    texts = TEXTS if engine in CUTS_DIFFERENTLY else [*TEXTS, TOO_LONG]
    answer = subprocess.run(
        [*_interpreter(ENGINES[engine]), str(script), str(bundle)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ
        | {"NODE_PATH": str(environments.HOME / "environments/node/node_modules"), "HF_HUB_OFFLINE": "1"},
    )
    assert answer.returncode == 0, answer.stderr
    theirs = np.array(json.loads(answer.stdout))
    with strizh.load(bundle, "portable-fp32") as encoder, warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        ours = encoder.encode(texts, prompt="").astype(np.float64)
    assert theirs.shape == ours.shape
    cosines = (theirs * ours).sum(1) / np.linalg.norm(theirs, axis=1) / np.linalg.norm(ours, axis=1)
    assert cosines.min() >= 0.99999, cosines
    # Unit length comes from the graph or from the engine, never from this comparison.
    assert np.linalg.norm(theirs, axis=1) == pytest.approx(1, abs=1e-5)


def _interpreter(environment: str) -> list[str]:
    """The command that runs a script in an environment; the test is skipped where that is missing."""
    if environment == "node":
        if not shutil.which("node"):
            pytest.skip("node is not installed")
        if not (environments.HOME / "environments/node/complete").is_file():
            pytest.skip("the environment 'node' is missing: make interop")
        return ["node"]
    python = environments.python(environment)
    if not python:
        pytest.skip(f"the environment {environment!r} is missing: make interop")
    return [python, "-P"]


def test_every_script_is_run():
    assert {path.stem for path in HERE.glob("with_*")} == {f"with_{engine}" for engine in ENGINES}
