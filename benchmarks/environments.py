"""Where engines' own environments live: `environments/NAME.txt` lists what is in one, `install.py` makes it."""

import subprocess
import sys
import sysconfig
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("environments")
HOME = Path(__file__).resolve().parents[1] / "build" / "benchmarks"
MAIN = "main"  # the interpreter that runs the harness


def names() -> list[str]:
    """Every environment that can be installed."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def python(name: str) -> str | None:
    """Interpreter of an environment, or None where it is not installed."""
    HOME.mkdir(parents=True, exist_ok=True)
    if name == MAIN:
        return sys.executable
    path = _folder(name) / "bin" / "python"
    return str(path) if (_folder(name) / "complete").is_file() and path.is_file() else None


def install(name: str) -> None:
    """Make an environment anew from its list. Raises `CalledProcessError` where pip fails.

    A list that begins with "# with main" gets an environment that sees the harness's own packages besides.
    """
    folder = _folder(name)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    requirements = REQUIREMENTS / f"{name}.txt"
    if requirements.read_text(encoding="utf-8").startswith(
        "# with main"
    ):  # before pip, which then adds only what is not there
        see(folder, "import site; site.addsitedir({!r})")
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", requirements], check=True)
    (folder / "complete").touch()


def see(folder: Path, line: str) -> None:
    """Let an environment find the packages of this one, after its own. `line` is what a .pth file holds for a path."""
    own = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    lines = [line.format(path) for path in sys.path if path.endswith("-packages")]
    Path(own, "others.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _folder(name: str) -> Path:
    return HOME / "environments" / name
