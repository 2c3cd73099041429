"""What a precision costs: figures of two suites in one line, judged by the limits of the variant."""

from typing import Any

import pytest

from benchmarks import losses

SCORES = {"stsb, spearman": 0.82, "xquad, accuracy@1": 0.9, "xquad, nDCG@10": 0.95, "pairs, text to en @1": 0.92}


def quality(**lost: float) -> dict[str, Any]:
    """Two contenders; `lost` is what the scores of that kind are lower than float32's."""
    rows = [
        {"model": "m", "contender": name, "configuration": "", "ours": name.startswith("strizh")}
        | {"scores": {one: score - lost.get(one.split()[-1].partition("@")[0], 0) for one, score in SCORES.items()}}
        for name in ("other int8", "strizh cpu-int8")
    ]
    return {"models": {"m": {"scores": SCORES}}, "rows": rows}


def parity(cosine: float = 0.9995, same: int = 24) -> dict[str, Any]:
    """Two ranges of lengths; among neighbours `same` of 24 texts keep their bits, and all of them their direction."""
    row = {"model": "m", "configuration": "", "texts": 24, "company_same_bits": same, "company_cosine_min": 1.0}
    return {
        "rows": [
            row | {"contender": name, "tokens": tokens, "cosine_min": cosine, "cosine_mean": mean}
            for name in ("other int8", "strizh cpu-int8")
            for tokens, mean in (("1..16", 0.9996), ("17..128", 0.9998))
        ]
    }


def cells(table: str, contender: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {contender} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_ours_come_first_and_have_their_limits_beside_the_figures() -> None:
    table = losses.markdown(quality(spearman=0.001), parity())
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["strizh cpu-int8", "other int8"]
    mean, least, sts, xquad, company, verdict = cells(table, "strizh cpu-int8")
    assert mean.startswith("0.9997000 (>= 0.9992")
    assert least.startswith("0.9995000 (>= 0.998")
    assert (sts, xquad) == ("-0.0010 (>= -0.002)", "+0.0000 (>= -0.005)")
    assert (company, verdict) == ("same bits", "PASS")
    assert cells(table, "other int8") == ["0.9997000", "0.9995000", "-0.0010", "+0.0000", "same bits", ""]


@pytest.mark.parametrize(
    ("lost", "close"),
    [
        ({"spearman": 0.00201}, {}),
        ({"accuracy": 0.0051}, {}),
        ({}, {"cosine": 0.9979}),
        ({}, {"same": 23}),  # cosines that round to one are no same bits
    ],
    ids=["spearman", "accuracy", "cosine", "bits"],
)
def test_each_limit_can_be_missed(lost: dict[str, float], close: dict[str, Any]) -> None:
    table = losses.markdown(quality(**lost), parity(**close))
    assert cells(table, "strizh cpu-int8")[-1] == "**short**"
    assert "same bits" in cells(table, "strizh cpu-int8")[4]  # kept, or asked for


def test_what_was_not_measured_leaves_the_verdict_open() -> None:
    line = cells(losses.markdown(quality(), {"rows": []}), "strizh cpu-int8")
    assert (line[0], line[1], line[4]) == ("-", "-", "- (same bits)")
    assert line[-1] == "open"
