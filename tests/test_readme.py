"""The README: its Python is run as a reader would run it, and its map is that of the folders.

That its figures are those of the results is held by `tests/benchmarks/test_report.py`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "runtime/README.md")  # whose Python is one session, from the project's root


@pytest.mark.slow
def test_every_python_block_runs(tmp_path):
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    found = [re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) for text in texts]
    assert all(found)
    blocks = [block for page in found for block in page]
    (tmp_path / "tests").symlink_to(ROOT / "tests")  # paths of the page hold; what it writes stays out of the tree
    done = subprocess.run(
        [sys.executable, "-P", "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr


def test_every_folder_of_the_map_is_there_and_every_folder_is_on_the_map():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    on_map = set(re.findall(r"^\| `(\w+)/` \|", text, re.M))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    if not any(tracked):
        pytest.skip("not a git checkout, so the tracked folders are not known")
    there = {path.partition("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    assert on_map == there


def test_a_newcomer_gets_through_it():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 350


@pytest.mark.parametrize(
    "page", ["README.md", *(f"{part}/README.md" for part in ("export", "runtime", "kernels", "benchmarks"))]
)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor:
            text = (path / "README.md" if path.is_dir() else path).read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.+)$", text, re.M)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target
