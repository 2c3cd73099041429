"""An installation without kernels is for machines without a compiler, not a way to hide that the sources do not compile."""

import shutil

import pytest

from strizh import kernels

COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)


@pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")
def test_the_library_is_there_where_a_compiler_is() -> None:
    assert kernels.library_path() is not None, "the C++ sources did not compile: pip install -v --editable . shows why"
