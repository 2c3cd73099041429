"""Figures by hand, kinds of tasks by their keys, and what a wrong file gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strizh.export.evaluate import bitext, classification, paraphrase, retrieval, sts
from strizh.export.evaluate.find import find_tasks
from strizh.export.evaluate.task import Measure, Row, interval
from strizh.runtime.errors import UsageError


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / f"{name}.jsonl").write_text(lines + "\n", encoding="utf-8")


def unit(angles: list[float]) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_spearman_of_ranks_with_ties() -> None:
    # Ranks of the second column are 1, 2.5, 2.5, 4: the correlation of (1, 2, 3, 4) with them is 4.5 / sqrt(5 * 4.5).
    pairs = np.array([[0.1, 1], [0.2, 3], [0.3, 3], [0.9, 7]])
    assert sts.spearman(pairs) == pytest.approx(4.5 / np.sqrt(5 * 4.5))
    assert sts.spearman(pairs * [1, -1]) == pytest.approx(-4.5 / np.sqrt(5 * 4.5))
    assert sts.spearman(np.ones((3, 2))) == 0, "no order, no correlation, no NaN"


def test_similarity_follows_the_angle_between_the_sides() -> None:
    rows = [
        Row({"text": f"a{i}", "text2": f"b{i}", "en": "x", "en2": "y", "score": score})
        for i, score in enumerate((5, 3, 0))
    ]
    task = sts.read("pairs", rows, "text")
    assert task and [text.text for text in task.texts] == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert task.measure(unit([0, 0, 0, 0.1, 0.5, 1.0]))["spearman"].value == 1
    assert task.measure(unit([0, 0, 0, 1.0, 0.5, 0.1]))["spearman"].value == -1


def test_retrieval_counts_the_first_place_and_discounts_the_others() -> None:
    questions = [{"text": "q0", "ctx": 0}, {"text": "q1", "ctx": 2}]
    passages = [{"text": f"p{i}"} for i in range(3)]
    task = retrieval.read_questions("xquad", questions, passages, "text")
    assert task
    found = task.measure(unit([0.0, 0.0, 0.1, 0.5, 0.3]))  # q1 finds p0, then p2, then p1
    assert found["accuracy@1"].value == 0.5
    assert found["nDCG@10"].value == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_a_title_that_two_documents_share_is_answered_by_both_and_no_title_asks_nothing() -> None:
    rows = [{"query_ru": title, "text": f"d{i}"} for i, title in enumerate(("t", "t", "", "u"))]
    task = retrieval.read_titles("docs", rows, "text")
    assert task and task.relevant == [{0, 1}, {0, 1}, {3}]
    assert [text.text for text in task.texts] == ["t", "t", "u", "d0", "d1", "d2", "d3"]
    found = task.measure(unit([0, 0, 0, 0.1, 0.2, 0.3, 0.4]))
    assert found["accuracy@1"].value == pytest.approx(2 / 3)
    assert found["nDCG@10"].value == pytest.approx((1 + 1 + 1 / np.log2(5)) / 3)


def test_bitext_goes_both_ways() -> None:
    task = bitext.read("pairs", [{"text": "а", "en": "a"}, {"text": "б", "en": "b"}])
    assert task
    found = task.measure(unit([0.0, 1.0, 0.6, 1.1]))  # а is nearest to a, б to b; a is nearer to б
    assert {name: measure.value for name, measure in found.items()} == {"text to en @1": 1.0, "en to text @1": 0.5}


def test_average_precision_by_hand() -> None:
    assert paraphrase.average_precision(np.array([[0.9, 1], [0.8, 0], [0.7, 1]])) == pytest.approx((1 + 2 / 3) / 2)
    assert paraphrase.average_precision(np.array([[0.9, 0]])) == 0


def test_a_probe_learns_what_the_vectors_hold_and_is_tested_on_other_rows() -> None:
    generator = np.random.default_rng(0)
    rows = [{"text": str(i), "label": "да" if i % 3 else "нет"} for i in range(90)]
    task = classification.read("topics", rows, "text")
    assert task
    told = np.stack([[0.3, 1.0] if row["label"] == "да" else [0.3, -1.0] for row in rows])
    noise = generator.normal(0, 0.1, told.shape)
    assert task.measure(told + noise)["probe accuracy"].value == 1
    assert task.measure(generator.normal(0, 1, told.shape))["probe accuracy"].value < 0.8
    split = classification.read(
        "topics", [row | {"split": "test" if i < 30 else "train"} for i, row in enumerate(rows)], "text"
    )
    assert split and len(split.measure(told)["probe accuracy"].samples) == 30


def test_the_interval_is_paired() -> None:
    generator = np.random.default_rng(0)
    cases = generator.integers(0, 2, 400)
    ours, theirs = Measure.mean(cases), Measure.mean(cases)
    assert interval(ours, theirs) == (0, 0), "the same cases in both cannot differ, however noisy they are"
    low, high = interval(Measure.mean(np.maximum(cases, np.arange(400) < 40)), theirs)
    assert 0 < low < 0.05 < high < 0.1  # about 20 of 400 cases got better


def test_files_are_known_by_their_keys(tmp_path: Path) -> None:
    write(tmp_path, "a_sts", [{"text": "а", "text2": "б", "score": 1.0}])
    write(tmp_path, "b_pairs", [{"text": "а", "en": "a"}])
    write(tmp_path, "c_questions", [{"text": "а", "en": "a", "ctx": 0}])
    write(tmp_path, "c_paragraphs", [{"text": "а", "en": "a"}])
    write(tmp_path, "d_docs", [{"query_ru": "а", "query_en": "a", "text": "б"}])
    write(tmp_path, "e_same", [{"text": "а", "text2": "б", "label": 1}, {"text": "а", "text2": "в", "label": 0}])
    write(tmp_path, "f_topics", [{"text": "а", "label": "x"}, {"text": "б", "label": "y"}])
    write(tmp_path, "g_plain", [{"text": "а"}])
    assert {task.name: type(task).__name__ for task in find_tasks(tmp_path)} == {
        "a_sts": "Similarity",
        "b_pairs": "Bitext",
        "c_questions": "Retrieval",
        "d_docs": "Retrieval",
        "e_same": "Paraphrase",
        "f_topics": "Classification",
    }
    assert [task.name for task in find_tasks(tmp_path, "en")] == ["c_questions [en]", "d_docs [en]"]
    assert [task.name for task in find_tasks(tmp_path, names=["sts", "docs"])] == ["a_sts", "d_docs"]


def test_a_limit_cuts_questions_but_not_what_they_are_searched_in(tmp_path: Path) -> None:
    write(tmp_path, "questions", [{"text": f"q{i}", "ctx": i} for i in range(5)])
    write(tmp_path, "paragraphs", [{"text": f"p{i}"} for i in range(5)])
    (task,) = find_tasks(tmp_path, limit=2)
    assert len(task.texts) == 2 + 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ('{"text": "a"\n', "line 1 is not JSON"),
        ('{"text": "a", "label": 1}\n[1]\n', "line 2 is list"),
        ('{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2 has no key 'label', which the first row has"),
        ('{"text": "a", "label": 1}\n{"text": 5, "label": 1}\n', "has the text 5; expected a string"),
        ('{"text": "a", "text2": "b", "score": "much"}\n', "line 1 has score 'much'; expected a number"),
        ('{"text": "a", "text2": "b", "score": null}\n', "line 1 has score None; expected a number"),
        ('{"text": "a", "text2": "b", "score": NaN}\n', "line 1 has score nan; expected a number"),
        ('{"text": "a", "text2": "b", "score": 1' + "0" * 400 + "}\n", "line 1 has score 1000.*; expected a number"),
        ('{"text": "a", "label": 1, "split": "test"}\n' * 2, "has rows to test or rows to learn from, but not both"),
        ('{"text": "a", "label": 1, "split": "train"}\n' * 2, "has rows to test or rows to learn from, but not both"),
        ("[" * 100_000, "line 1 is not JSON"),
        ('{"text": "a"}\n', "no .jsonl file with a task"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        find_tasks(tmp_path)


@pytest.mark.parametrize("name", ["", "titles"])
def test_a_name_that_no_file_has_is_refused_beside_a_good_one(tmp_path: Path, name: str) -> None:
    for stem in ("pairs", "topics"):
        (tmp_path / f"{stem}.jsonl").write_text('{"text": "a", "text2": "b", "score": 1}\n', encoding="utf-8")
    assert [task.name for task in find_tasks(tmp_path, names=["pairs"])] == ["pairs"]
    with pytest.raises(UsageError, match=f"'{name}' names no file of .*; expected a part of one of pairs, topics"):
        find_tasks(tmp_path, names=["pairs", name])


def test_a_folder_that_is_not_there_and_a_file_that_is_no_text_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        find_tasks(tmp_path / "nowhere")
    (tmp_path / "x.jsonl").write_bytes('{"text": "ночь"}'.encode("cp1251"))
    with pytest.raises(UsageError, match="is not UTF-8"):
        find_tasks(tmp_path)


@pytest.mark.parametrize("ctx", ["5", '"0"', "-1", "0.0", "true", "null"])
def test_a_question_whose_passage_is_not_there_is_named(tmp_path: Path, ctx: str) -> None:
    questions = '{"text": "кто", "ctx": 1}\n{"text": "где", "ctx": ' + ctx + "}\n"
    (tmp_path / "questions.jsonl").write_text(questions, encoding="utf-8")
    (tmp_path / "paragraphs.jsonl").write_text('{"text": "стриж"}\n{"text": "небо"}\n', encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"questions\.jsonl line 2 has ctx .*; expected the number of a passage, from 0 to 1"
    ):
        find_tasks(tmp_path)
