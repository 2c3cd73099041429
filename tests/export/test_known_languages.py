"""Texts that a tokenizer spells are told from those that it has words for."""

from strizh.export.known_languages import in_known_languages

TEXTS = ["The swift sleeps on the wing.", "Стриж спит на лету, не садясь.", "No.", "Нет."]


def test_a_spelled_language_is_left_out_and_short_texts_stay() -> None:
    assert in_known_languages(TEXTS, [7, len(TEXTS[1]), 2, 4]) == [0, 2]


def test_all_stay_where_every_text_is_spelled() -> None:
    assert in_known_languages(TEXTS, [len(text) for text in TEXTS]) == [0, 1, 2, 3]
