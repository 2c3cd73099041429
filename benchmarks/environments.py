"""Where engines' own environments live: `environments/NAME.txt` lists what is in one, `install.py` makes it."""

import subprocess
import sys
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
    """Make an environment anew from its list. Raises `CalledProcessError` where pip fails."""
    folder = _folder(name)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    requirements = REQUIREMENTS / f"{name}.txt"
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", requirements], check=True)
    (folder / "complete").touch()


def _folder(name: str) -> Path:
    return HOME / "environments" / name
