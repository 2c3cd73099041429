"""A bundle as a model of mteb: a task runs on it, and each kind of task gets its prompt."""

from types import SimpleNamespace

import numpy as np
import pytest

from strizh.runtime.encoder import load
from strizh.runtime.errors import UsageError

pytest.importorskip("mteb", reason="mteb is not installed; `make interop` runs this")

import mteb
from datasets import Dataset
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.types import PromptType
from scipy.stats import spearmanr

from strizh.runtime.adapters.mteb import StrizhModel

TEXTS = ["стриж летит быстрее", "the swift flies", "a b c", "стриж летит"]
OTHERS = ["стриж летит", "the swift", "всех птиц", "a c"]
SCORES = [4.0, 5.0, 0.0, 1.0]
STS = SimpleNamespace(name="RUParaPhraserSTS", type="STS")


class SwiftSTS(AbsTaskSTS):
    metadata = TaskMetadata(
        name="SwiftSTS",
        description="Four pairs about swifts.",
        dataset={"path": "none/none", "revision": "1"},
        type="STS",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["rus-Cyrl"],
        main_score="cosine_spearman",
    )

    def load_data(self, **_: object) -> None:
        rows = {"sentence1": TEXTS, "sentence2": OTHERS, "score": SCORES}
        self.dataset, self.data_loaded = {"test": Dataset.from_dict(rows)}, True


def test_a_task_gives_the_score_of_the_vectors(make_bundle):
    bundle = make_bundle(normalize=True)
    found = mteb.evaluate(StrizhModel(str(bundle)), SwiftSTS(), cache=None)
    with load(bundle) as encoder:
        cosines = (encoder.encode(TEXTS) * encoder.encode(OTHERS)).sum(1)
    assert found[0].get_score() == pytest.approx(spearmanr(SCORES, cosines)[0], abs=1e-6)


@pytest.mark.parametrize(
    ("names", "side", "prompt"),
    [
        ({}, None, ""),
        ({}, PromptType.query, "query: "),
        ({}, PromptType.document, "passage: "),
        ({"STS": "query"}, None, "query: "),
        ({"STS": "query", "RUParaPhraserSTS": "passage"}, None, "passage: "),
        ({"STS-query": "passage"}, PromptType.query, "passage: "),
        ({"Classification": "query"}, None, ""),
    ],
)
def test_a_task_gets_the_prompt_that_names_it_most_exactly(make_bundle, names, side, prompt):
    bundle = make_bundle()
    model = StrizhModel(str(bundle), prompt_names=names)
    batches = [{"text": TEXTS[:3]}, {"text": TEXTS[3:]}]
    found = model.encode(batches, task_metadata=STS, hf_split="test", hf_subset="default", prompt_type=side)
    np.testing.assert_array_equal(found, load(bundle).encode(TEXTS, prompt=prompt))


def test_a_template_is_filled_with_the_words_of_the_task(make_bundle):
    bundle = make_bundle(prompts={"query": "Instruct: {task} Query: "})
    task = SimpleNamespace(name="SwiftSTS", type="STS", prompt="a b c")
    model = StrizhModel(str(bundle))
    found = model.encode([{"text": TEXTS}], task_metadata=task, prompt_type=PromptType.query)
    np.testing.assert_array_equal(found, load(bundle).encode(TEXTS, prompt="Instruct: a b c Query: "))


def test_an_unknown_prompt_is_refused_before_any_task(make_bundle):
    with pytest.raises(UsageError, match="'query', 'passage'"):
        StrizhModel(str(make_bundle()), prompt_names={"STS": "symmetric"})
