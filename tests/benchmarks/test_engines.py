"""Every engine's module says what the harness asks of it."""

import pytest

from benchmarks import engines, environments
from benchmarks.errors import UnknownName

CONFIGURATIONS = engines.find()


def test_every_engine_runs_in_an_environment_that_can_be_installed() -> None:
    known = {environments.MAIN, *environments.names()}
    assert {module.ENVIRONMENT for _, module in engines.modules()} <= known


def test_an_environment_that_is_not_installed_has_no_worker() -> None:
    assert environments.worker("nowhere") is None


def test_names_tell_configurations_apart_but_for_their_variables() -> None:
    told = [(one.name, tuple(one.variables.items())) for one in CONFIGURATIONS]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("pattern", ["openvino int8 (portable*bf16)", "openvino int8 (portable.nncf_int8.xml, bf16)"])
def test_one_file_of_an_engine_can_be_chosen(pattern: str) -> None:
    (found,) = engines.find([pattern])
    assert found.options == {"file": "portable.nncf_int8.xml", "hint": "bf16"}


def test_a_name_that_nothing_has_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"no engine is named nothing; there are .*strizh cpu-bf16"):
        engines.find(["nothing"])


@pytest.mark.parametrize("one", CONFIGURATIONS, ids=lambda one: one.name)
def test_a_peer_that_should_have_the_models_vectors_is_held_to_them(one: engines.Configuration) -> None:
    """Speed of a peer that is wired wrongly means nothing; of 8 bits and fewer only the figure is shown."""
    if one.ours:
        assert one.promise
    elif one.same_model and one.precision != "int8":
        assert one.least_cosine >= 0.99
