"""What a language is written with: its alphabet, or the scripts that it has to itself.

Words are not told apart, letters are: under "en" stays every piece in the 26 letters, French and Malay ones among them.
A file of texts (`usage.py`) cuts closer.
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache

from strizh.runtime.errors import UsageError

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"

# ISO 639-1 -> lower-case letters.
ALPHABETS = {
    "az": _LATIN + "çəğıöşü\u0307",  # the dot that Python leaves on the lower-case of İ
    "ba": _RUSSIAN + "әғҡңөҙҫүһ",
    "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
    "cs": _LATIN + "áčďéěíňóřšťúůýž",
    "da": _LATIN + "æøå",
    "de": _LATIN + "äöüß",
    "en": _LATIN,
    "es": _LATIN + "áéíñóúü",
    "et": _LATIN + "äõöüšž",
    "fi": _LATIN + "äöå",
    "fr": _LATIN + "àâæçèéêëîïôœùûüÿ",
    "hr": _LATIN + "čćđšž",
    "hu": _LATIN + "áéíóöőúüű",
    "id": _LATIN,
    "it": _LATIN + "àèéìîòóù",
    "kk": _RUSSIAN + "әғқңөұүһі",
    "ky": _RUSSIAN + "ңөү",
    "lt": _LATIN + "ąčęėįšųūž",
    "lv": _LATIN + "āčēģīķļņšūž",
    "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
    "mn": _RUSSIAN + "өү",
    "nl": _LATIN + "áéëíïóöúü",
    "no": _LATIN + "æøå",
    "pl": _LATIN + "ąćęłńóśźż",
    "pt": _LATIN + "àáâãçéêíóôõúü",
    "ro": _LATIN + "ăâîșțşţ",
    "ru": _RUSSIAN,
    "sk": _LATIN + "áäčďéíĺľňóôŕšťúýž",
    "sl": _LATIN + "čšž",
    "sr": "абвгдђежзијклљмнњопрстћуфхцчџш" + _LATIN + "čćđšž",
    "sv": _LATIN + "äöå",
    "tg": _RUSSIAN + "ғӣқӯҳҷ",
    "tr": _LATIN + "çğıöşü\u0307",
    "tt": _RUSSIAN + "әҗңөүһ",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "uz": _LATIN + "ʻʼ" + _RUSSIAN + "ғқҳў",
}

# ISO 639-1 -> the words with which Unicode begins the names of its letters.
SCRIPTS = {
    "ar": ("ARABIC",),
    "bn": ("BENGALI",),
    "el": ("GREEK",),
    "fa": ("ARABIC",),
    "he": ("HEBREW",),
    "hi": ("DEVANAGARI",),
    "hy": ("ARMENIAN",),
    "ja": ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "CJK", "IDEOGRAPHIC"),
    "ka": ("GEORGIAN",),
    "ko": ("HANGUL",),
    "ta": ("TAMIL",),
    "th": ("THAI",),
    "zh": ("CJK", "IDEOGRAPHIC"),
}


def known() -> list[str]:
    """Codes of the languages that can be kept by name."""
    return sorted({*ALPHABETS, *SCRIPTS})


def reader_of(languages: Sequence[str]) -> Callable[[str], bool]:
    """A function that says of a string whether these languages have every letter in it; digits and signs are everyone's.

    Raises `UsageError` for a language that has no entry here.
    """
    if unknown := [name for name in languages if name not in ALPHABETS and name not in SCRIPTS]:
        raise UsageError(
            f"{unknown[0]!r} is no language that strizh knows the letters of: it knows {', '.join(known())}. "
            "For another one give a file of texts: --keep-languages texts.jsonl"
        )
    letters = {letter for name in languages for letter in ALPHABETS.get(name, "")}
    scripts = {"COMBINING", *(script for name in languages for script in SCRIPTS.get(name, ()))}

    @cache
    def is_read(character: str) -> bool:
        if unicodedata.category(character)[0] not in "LM":  # neither a letter nor a mark on one
            return True
        if set(character.lower()) <= letters:
            return True
        return unicodedata.name(character, "").partition(" ")[0] in scripts

    return lambda text: all(map(is_read, text))
