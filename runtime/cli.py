"""`strizh COMMAND`: finds the commands, runs one, and turns what goes wrong into one line and an exit status.

A command is a module with HELP, add_arguments(parser) and run(args) -> exit status. It is registered under the entry
point group `strizh.commands`, so that this file never imports strizh.export. A command's module imports nothing heavy
at its top: all of them are loaded for `strizh --help`.
"""

import argparse
import contextlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import Protocol, TextIO, cast

import strizh
from strizh.runtime.errors import Error, MissingExtra

GROUP = "strizh.commands"
FAILED, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # the last two as a shell counts them: 128 + the signal's number


class Command(Protocol):
    """What a command's module holds."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, which is 0 when all went well."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console without Cyrillic shows a question mark instead of failing
            stream.reconfigure(errors="replace")
    warnings.showwarning = _show_warning
    command = "strizh"
    try:
        args = _parser(arguments).parse_args(arguments)
        command = f"strizh {args.command}"
        status: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader has left, as `head` does: that is its right. Python would complain once more when it closes stdout.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except ModuleNotFoundError as error:
        return _say(f"error: {_missing_extra(error, command)}", FAILED)
    except Error as error:
        return _say(f"error: {error}", FAILED)
    except OSError as error:
        if not error.strerror:
            raise
        place = f"{error.filename}: " if error.filename else ""
        return _say(f"error: {place}{error.strerror}", FAILED)
    return status


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="strizh", description="Sentence encoders as ONNX bundles: exported once, run fast, parity proved."
    )
    parser.add_argument("--version", action="version", version=f"strizh {strizh.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    named = next((word for word in arguments if word in points), None)
    for name, point in points.items():
        if named not in (None, name):
            continue
        try:
            command = cast(Command, point.load())
        except (ImportError, Error) as error:
            if named:
                raise
            commands.add_parser(name, help=f"cannot be loaded: {error}")  # the others still have their help
            continue
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def _missing_extra(error: ModuleNotFoundError, command: str) -> MissingExtra:
    """The extra of strizh that brings the module; raises the error again if none does."""
    module = (error.name or "").partition(".")[0]
    for requirement in metadata.requires("strizh") or ():
        needed = re.match(r"""([\w.-]+).*; extra == ["'](\w+)["']""", requirement)
        if needed and needed[1].replace("-", "_") == module != "strizh":
            return MissingExtra(module, needed[2], command)
    raise error


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    print(f"strizh: warning: {message}", file=file or sys.stderr)


def _say(line: str, status: int) -> int:
    print(f"strizh: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
