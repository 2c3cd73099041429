"""The letters of languages."""

import unicodedata

import pytest

from strizh.export.vocabulary.languages import ALPHABETS, SCRIPTS, known, reader_of
from strizh.runtime.errors import UsageError

SENTENCES = {
    "ru": "Съешь ещё этих мягких французских булок, да выпей же чаю: № 7!",
    "en": "The quick brown fox jumps over the lazy dog (1,000 times).",
    "uk": "Щастям б'єш жук їх глицю в фон й ґедзь пріч.",
    "de": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "kk": "Жаңа сөз, ұлы дала, әр үйде қағаз бар, ғалым іздейді, һәм өмір.",
    "tr": "İstanbul'da ılık bir akşam; çiğ köfte, şeker ve üzüm.",
    "el": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "ja": "いろはにほへと、カタカナとラーメン、漢字。",
    "ko": "키스의 고유조건은 입술끼리 만나야 한다.",
    "ar": "نص حكيم له سر قاطع وذو شأن عظيم",
    "hi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_language_is_read_and_the_others_are_not(language: str) -> None:
    is_read = reader_of([language])
    assert is_read(SENTENCES[language]) and is_read(SENTENCES[language].upper())
    others = {other for other in SENTENCES if other != language and is_read(SENTENCES[other])}
    assert others == {"de": {"en"}, "tr": {"en"}, "kk": {"ru"}}.get(language, set()), "alphabets inside alphabets"


def test_languages_add_up() -> None:
    both = reader_of(["ru", "en"])
    assert both(SENTENCES["ru"] + SENTENCES["en"]) and not both(SENTENCES["de"])


def test_digits_signs_and_emoji_are_everyones() -> None:
    assert reader_of(["ka"])("▁2026 %—«»🙂 ½ ०")


def test_the_table_is_in_lower_case_and_says_each_language_once() -> None:
    assert not ALPHABETS.keys() & SCRIPTS.keys()
    for letters in ALPHABETS.values():
        assert all(unicodedata.category(letter)[0] in "LM" and letter == letter.lower() for letter in letters)


def test_an_unknown_language_is_one_line_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match=rf"'xx' is no language .* it knows {', '.join(known())}\. For another"):
        reader_of(["ru", "xx"])
