"""The README's Python is run as a reader would run it: in its order, in one session, from the project's root."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_every_python_block_runs(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert blocks
    (tmp_path / "tests").symlink_to(ROOT / "tests")  # paths of the page hold; what it writes stays out of the tree
    done = subprocess.run(
        [sys.executable, "-P", "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr


def test_every_folder_of_the_map_is_there_and_every_folder_is_on_the_map():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    on_map = set(re.findall(r"^\| `(\w+)/` \|", text, re.M))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\n")
    if not any(tracked):
        pytest.skip("not a git checkout, so the tracked folders are not known")
    there = {path.partition("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    assert on_map == there
