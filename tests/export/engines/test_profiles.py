"""Shapes of engines: what a user writes, what a grid makes of a bundle's longest text, and what is refused."""

import pytest

from strizh.export.engines.profiles import GRIDS, parse_profiles
from strizh.runtime.engines import Profile
from strizh.runtime.errors import UsageError


def test_profiles_are_read_and_written_the_same_way() -> None:
    text = "1x64, 8x64..32x128,1x64"
    found = parse_profiles(text, 512)
    assert found == (Profile(1, 64, 1, 64), Profile(32, 128, 8, 64))
    assert [str(profile) for profile in found] == ["1x64", "8x64..32x128"]


@pytest.mark.parametrize("max_length", [1, 32, 100, 512, 8192])
@pytest.mark.parametrize("grid", GRIDS)
def test_grids_reach_the_longest_text_and_nothing_beyond(grid: str, max_length: int) -> None:
    found = parse_profiles(grid, max_length)
    assert max(profile.tokens for profile in found) == max_length
    assert any(profile.texts == 1 for profile in found), "one text alone is not padded to a batch"
    assert len(set(found)) == len(found) and len({profile.tokens for profile in found if profile.texts > 1}) == len(
        [profile for profile in found if profile.texts > 1]
    ), "no engine does only what another does"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "profile '' is none; expected texts x tokens such as 32x128"),
        ("32", "profile '32' is none; expected"),
        ("32x128x2", "profile '32x128x2' is none; expected"),
        ("-1x8", "profile '-1x8' is none; expected"),
        ("1x64,large", "profile 'large' is none; .* or one of the grids default, queries, passages"),
        ("0x8", "profile '0x8' has no shape, or is tuned for one outside it"),
        ("8x64..4x128", "profile '8x64..4x128' has no shape, or is tuned for one outside it"),
        ("1x513", "profile '1x513' has texts of 513 tokens, this bundle takes up to 512"),
    ],
)
def test_profiles_that_cannot_be_are_one_line(text: str, line: str) -> None:
    with pytest.raises(UsageError, match=line) as caught:
        parse_profiles(text, 512)
    assert "\n" not in str(caught.value)
