"""Which of our own texts, Russian and English, a model knows the language of: its tokenizer has words for it."""

from collections.abc import Sequence

_SPELLED = 0.6  # tokens a character, from which on a text is rather letters than words
_SHORTEST = 2  # a word and its full stop
_LEAST = 4  # one in so many texts has to be left; else it is the tokenizer that knows letters or bytes only


def in_known_languages(texts: Sequence[str], tokens: Sequence[int]) -> list[int]:
    """Numbers of the texts that are not spelled letter by letter; of all where nearly all are.

    `tokens`: how many each has, special ones left out.
    """
    known = [
        index for index, text in enumerate(texts) if tokens[index] <= _SHORTEST or tokens[index] < _SPELLED * len(text)
    ]
    return known if len(known) > len(texts) // _LEAST else list(range(len(texts)))
