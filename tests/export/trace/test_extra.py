"""Without the extra `trace` its absence is one line that says what to run."""

import importlib.util

import pytest

from strizh.export.trace import extra
from strizh.runtime.errors import MissingExtra


@pytest.mark.parametrize("absent", ["torch", "transformers", "onnxscript"])
def test_an_absent_package_is_named_with_the_command(absent, monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == absent else importlib.util.find_spec(name))
    with pytest.raises(MissingExtra) as error:
        extra.require_extra()
    assert str(error.value).startswith(
        f"Tracing a PyTorch model needs {absent}, which is not installed. Run: pip install"
    )
    assert "strizh[trace]" in str(error.value)
