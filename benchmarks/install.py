"""Install environments of engines whose packages strizh does not need: `python benchmarks/install.py [NAME ...]`."""

import argparse
import sys
from pathlib import Path

if not __package__:  # run as a script, not imported
    # The root may not stay on the path: its folder `kernels` would be taken for the package that transformers looks for.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import benchmarks  # noqa: F401

    del sys.path[0]

from benchmarks import environments
from benchmarks.errors import NotInstallable


def main() -> int:
    """Install what is named, or everything; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(environments.names())}")
    names = parser.parse_args().names or environments.names()
    if unknown := [name for name in names if name not in environments.names()]:
        parser.error(f"no environment {', '.join(unknown)}; there are {', '.join(environments.names())}")
    failed = []
    for name in names:
        print(f"{name} ...", flush=True)
        try:
            environments.install(name)
        except NotInstallable as error:
            failed.append(name)
            print(f"{name} failed: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
