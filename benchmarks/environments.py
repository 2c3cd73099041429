"""Where engines' own environments live: `environments/NAME.txt` or `NAME.json` lists what is in one, `install.py` makes it."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.errors import NotInstallable

REQUIREMENTS = Path(__file__).with_name("environments")
HOME = Path(__file__).resolve().parents[1] / "build" / "benchmarks"
MAIN = "main"  # the interpreter that runs the harness
NODE = "node"  # the one environment that is not Python's: npm installs it
_WORKER = Path(__file__).with_name("worker.py")


def names() -> list[str]:
    """Every environment that can be installed."""
    return sorted(path.stem for path in REQUIREMENTS.iterdir() if path.suffix in (".txt", ".json"))


def worker(name: str) -> list[str] | None:
    """The command that starts a worker in an environment, or None where it is not installed."""
    if name == NODE:
        node, folder = shutil.which("node"), _folder(name)
        return [node, str(_WORKER.with_suffix(".cjs")), str(folder)] if node and _complete(folder) else None
    interpreter = python(name)
    return [interpreter, str(_WORKER)] if interpreter else None


def python(name: str) -> str | None:
    """Interpreter of an environment, or None where it is not installed."""
    HOME.mkdir(parents=True, exist_ok=True)
    if name == MAIN:
        return sys.executable
    path = _folder(name) / "bin" / "python"
    return str(path) if _complete(_folder(name)) and path.is_file() else None


def install(name: str) -> None:
    """Make an environment anew from its list. Raises `NotInstallable` where pip or npm fails or is missing.

    A list that begins with "# with main" gets an environment that sees the harness's own packages besides.
    """
    folder = _folder(name)
    if name == NODE:
        _install_node(folder)
    else:
        _install_python(folder, REQUIREMENTS / f"{name}.txt")
    (folder / "complete").touch()


def see(folder: Path, line: str) -> None:
    """Let an environment find the packages of this one, after its own. `line` is what a .pth file holds for a path."""
    own = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    lines = [line.format(path) for path in sys.path if path.endswith("-packages")]
    Path(own, "others.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _install_python(folder: Path, requirements: Path) -> None:
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    if requirements.read_text(encoding="utf-8").startswith("# with main"):  # before pip, which then adds only the rest
        see(folder, "import site; site.addsitedir({!r})")
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(requirements)])


def _install_node(folder: Path) -> None:
    if not shutil.which("npm"):
        raise NotInstallable("npm is not installed here; install Node.js with it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(REQUIREMENTS / "node.json", folder / "package.json")
    # Scripts are off: they would fetch CUDA's libraries.
    _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)])


def _run(command: list[str]) -> None:
    program = Path(command[0]).name
    if status := subprocess.run(command).returncode:
        raise NotInstallable(f"{program} ended with status {status}; what it said stands above")


def _complete(folder: Path) -> bool:
    return (folder / "complete").is_file()


def _folder(name: str) -> Path:
    return HOME / "environments" / name
