"""The transformer in scikit-learn's pipelines, searches and pickles."""

import pickle

import numpy as np
import pytest

from strizh.runtime.encoder import load
from strizh.runtime.errors import UsageError

pytest.importorskip("sklearn", reason="scikit-learn is not installed; `make interop` runs this")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from strizh.runtime.adapters.scikit_learn import StrizhTransformer

TEXTS = ["стриж летит быстрее", "the swift flies", "стриж летит", "the swift"]


def test_the_vectors_are_those_of_the_encoder(make_bundle):
    bundle = make_bundle()
    transformer = StrizhTransformer(bundle, prompt_name="query", truncate_dim=4)
    found = transformer.fit_transform(TEXTS)
    np.testing.assert_array_equal(found, load(bundle).encode(TEXTS, prompt_name="query", truncate_dim=4))
    np.testing.assert_array_equal(transformer.transform(np.array(TEXTS, dtype=object)), found)
    assert list(transformer.get_feature_names_out()) == [f"strizhtransformer{index}" for index in range(4)]


def test_a_classifier_learns_from_texts(make_bundle):
    pipeline = make_pipeline(StrizhTransformer(make_bundle()), LogisticRegression(C=100))
    labels = ["ru", "en", "ru", "en"]
    assert list(pipeline.fit(TEXTS, labels).predict(TEXTS)) == labels


def test_clones_and_pickles_give_the_same_vectors(make_bundle):
    transformer = StrizhTransformer(str(make_bundle()), variant="portable-fp32").fit(TEXTS)
    expected = transformer.transform(TEXTS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(transformer)).transform(TEXTS), expected)
    copy = clone(transformer)
    with pytest.raises(NotFittedError):
        copy.transform(TEXTS)
    np.testing.assert_array_equal(copy.fit(TEXTS).transform(TEXTS), expected)


def test_several_columns_are_refused(make_bundle):
    transformer = StrizhTransformer(make_bundle()).fit(TEXTS)
    with pytest.raises(UsageError, match="a single column"):
        transformer.transform(np.array(TEXTS, dtype=object).reshape(2, 2))
