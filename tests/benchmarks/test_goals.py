"""What is required of strizh beside its peers, and how a verdict comes about."""

from typing import Any

import pytest

from benchmarks import goals


def row(
    contender: str, case: str, seconds: list[float], *, precision: str = "bf16", metric: str = "tokens/s"
) -> dict[str, Any]:
    return {
        "model": "base",
        "contender": contender,
        "case": case,
        "metric": metric,
        "precision": precision,
        "ours": contender.startswith("strizh"),
        "tokens": 2048,
        "error": "",
        "parity": {"misses": []},
        "rounds": [{"number": number, "median": time, "least": time} for number, time in enumerate(seconds)],
    }


def verdicts(rows: list[dict[str, Any]], kind: str = "avx512_bf16") -> dict[str, str]:
    return {one["case"]: one["verdict"] for one in goals.judge(rows, kind)}


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "short"), (1.1, "PASS"), (1.2, "aim met")])
def test_throughput_is_required_to_be_above(ratio: float, verdict: str) -> None:
    rows = [row("strizh cpu-bf16", "16x128", [1 / ratio]), row("openvino bf16", "16x128", [1.0])]
    assert verdicts(rows) == {"16x128": verdict}


@pytest.mark.parametrize(("ratio", "verdict"), [(0.8, "short"), (0.65, "PASS"), (0.5, "aim met")])
def test_latency_is_required_to_be_below(ratio: float, verdict: str) -> None:
    rows = [row("strizh cpu-bf16", "1x16", [ratio], metric="ms"), row("torch bf16", "1x16", [1.0], metric="ms")]
    assert verdicts(rows) == {"1x16": verdict}


def test_speed_is_worth_nothing_where_the_vectors_miss_their_promise() -> None:
    ours = row("strizh cpu-bf16", "16x128", [0.1]) | {"parity": {"misses": ["cosine 0.5"]}}
    assert verdicts([ours, row("openvino bf16", "16x128", [1.0])]) == {"16x128": "FAIL: parity"}


def test_the_fastest_peer_counts_and_int8_only_for_int8() -> None:
    rows = [
        row("strizh cpu-bf16", "16x128", [1.0]),
        row("torch bf16", "16x128", [3.0]),
        row("openvino bf16", "16x128", [2.0]),
        row("openvino int8", "16x128", [0.1], precision="int8"),
    ]
    (judged,) = goals.judge(rows, "amx")
    assert judged["theirs"] == "openvino bf16"
    assert judged["ratio"] == pytest.approx(2.0)


def test_a_goal_without_a_figure_for_this_machine_or_without_a_peer_is_not_judged() -> None:
    ours = row("strizh cpu-bf16", "16x128", [1.0])
    assert verdicts([ours]) == {}
    assert verdicts([ours, row("openvino bf16", "16x128", [1.0])], "other") == {}
    assert verdicts([ours, row("openvino bf16", "16x128", [])]) == {}


def test_there_is_no_verdict_while_a_rival_has_no_quiet_round() -> None:
    noisy = row("openvino bf16", "16x128", [])
    rows = [row("strizh cpu-bf16", "16x128", [0.5]), row("torch bf16", "16x128", [1.0]), noisy]
    assert verdicts(rows) == {"16x128": "open: no quiet round of openvino bf16"}
    noisy["error"] = "it cannot run"
    assert verdicts(rows) == {"16x128": "aim met"}
    noisy |= {"error": "", "precision": "int8"}
    assert verdicts(rows) == {"16x128": "aim met"}


def test_a_ratio_says_of_how_many_common_rounds_it_is() -> None:
    rows = [row("strizh cpu-bf16", "16x128", [0.5, 0.5, 0.5]), row("torch bf16", "16x128", [1.0, 1.0])]
    (judged,) = goals.judge(rows, "amx")
    assert judged["rounds"] == 2
    rows[1]["rounds"] = [one | {"number": 7} for one in rows[1]["rounds"]]
    (judged,) = goals.judge(rows, "amx")
    assert (judged["rounds"], judged["ratio"]) == (0, pytest.approx(2.0))


def test_mixed_lengths_are_held_to_equal_ones() -> None:
    rows = [row("strizh cpu-bf16", "ragged", [1.0]), row("strizh cpu-bf16", "ragged-mean", [0.95])]
    (judged,) = goals.judge(rows, "other")
    assert judged["theirs"] == "strizh cpu-bf16 on ragged-mean"
    assert judged["verdict"] == "PASS"


def test_every_goal_names_a_case_that_a_suite_measures() -> None:
    from benchmarks.suites import throughput

    measured = {case.name for case in throughput.CASES}
    assert {case for goal in goals.GOALS for case in goal.cases} <= measured
