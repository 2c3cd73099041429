"""Which sentences mean the same, in Russian and in English? Run: python examples/similarity.py BUNDLE"""

import sys
import time

import numpy as np

import strizh

SENTENCES = [
    ("Стриж летает быстрее всех птиц.", "The swift flies faster than any other bird."),
    ("Завтра в городе весь день будет дождь.", "Tomorrow it will rain in the city all day."),
    ("Как сварить борщ на шесть человек?", "How do I cook borscht for six people?"),
    ("Банк снизил ставку по ипотеке.", "The bank has lowered its mortgage rate."),
    ("Моя кошка спит на клавиатуре.", "My cat is sleeping on the keyboard."),
]


def main(bundle: str) -> None:
    russian, english = (list(column) for column in zip(*SENTENCES, strict=True))
    with strizh.load(bundle) as encoder:
        began = time.perf_counter()
        vectors = encoder.encode(russian + english)
        took = time.perf_counter() - began
        print(encoder.explain(), end="\n\n")
    similarity = vectors[: len(russian)] @ vectors[len(russian) :].T  # unit vectors, so the products are cosines

    for number, sentence in enumerate(english, start=1):
        print(f"  {number}  {sentence}")
    print(f"\n{'':42}" + "".join(f"{number:>7}" for number in range(1, len(english) + 1)))
    for sentence, row in zip(russian, similarity, strict=True):
        cells = (f"[{value:.2f}]" if value == row.max() else f" {value:.2f} " for value in row)
        print(f"  {sentence:<40}" + "".join(f"{cell:>7}" for cell in cells).rstrip())

    found = int(np.sum(similarity.argmax(axis=1) == np.arange(len(russian))))
    print(f"\n{found} of {len(russian)} Russian sentences are nearest to their own translation, marked [ ].")
    print(f"{len(vectors)} sentences took {took * 1000:.0f} ms, vectors are {vectors.dtype} {list(vectors.shape)}.")


if __name__ == "__main__":
    main(sys.argv[1])
