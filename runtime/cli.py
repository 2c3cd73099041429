"""`strizh COMMAND`: finds the commands, runs one, and turns what goes wrong into one line and an exit status.

A command is a module with HELP, add_arguments(parser) and run(args) -> exit status. It is registered under the entry
point group `strizh.commands`, so that this file never imports strizh.export. A command's module imports nothing heavy
at its top: all of them are loaded for `strizh --help`.
"""

import argparse
import contextlib
import errno
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NoReturn, Protocol, TextIO, cast

import strizh
from strizh.runtime.errors import DeviceError, Error, MissingExtra

GROUP = "strizh.commands"
FAILED, INTERRUPTED, BROKEN_PIPE, TERMINATED = 2, 130, 141, 143  # the last three as in a shell: 128 + the signal's number
_shown: set[str] = set()  # warnings of this command


class Command(Protocol):
    """What a command's module holds."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, which is 0 when all went well."""
    _settle_streams()
    _shown.clear()
    warnings.showwarning = _show_warning
    try:
        with _ending_in_order():
            status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # here, where it can still be said that it failed
        return status
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader has left, as `head` does: that is its right
        _forget_output()
        return BROKEN_PIPE
    except Error as error:
        return _say(f"error: {error}", FAILED)
    except OSError as error:
        place = error.filename or ("standard output" if _forget_output() else "")
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        way_out = ". Make room on the disk, or write to another place" if full else ""
        why = error.strerror or " ".join(str(error).split()) or type(error).__name__
        return _say(f"error: {f'{place}: ' if place else ''}{why}{way_out}", FAILED)


def _run(arguments: Sequence[str]) -> int:
    command, batches = "strizh", ""
    try:
        args, unknown = _parser(arguments).parse_known_args(arguments)
        if unknown:  # the parser above would name its own help, which has no options
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        command = f"strizh {args.command}"
        batches = ", or make batches smaller with --max-batch-tokens" if "max_batch_tokens" in args else ""
        status: int = args.run(args)
    except ModuleNotFoundError as error:
        raise _missing_extra(error, command) from error
    except MemoryError as error:
        why = f" ({error})" if str(error) else ""
        raise DeviceError(f"there is not enough memory{why}. Free some{batches}") from error
    return status


def _settle_streams() -> None:
    """A console without Cyrillic shows a question mark instead of failing; a stream that is closed leads nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # as after `>&-`
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (to the end)
        if hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="replace")


def _forget_output() -> bool:
    """Drop what standard output cannot take: Python would complain once more when it closes it. Whether there was any."""
    refused = False
    with contextlib.suppress(OSError, ValueError):
        try:
            sys.stdout.flush()
        except OSError:
            refused = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return refused


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the options are a page that is asked for."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        sys.stdout.flush()  # of the page, as in main
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"strizh: error: {message}. See `{self.prog} --help`\n")


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
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
        sub.set_defaults(run=command.run, parser=sub)
    return parser


def _missing_extra(error: ModuleNotFoundError, command: str) -> MissingExtra:
    """The extra of strizh that brings the module; raises the error again if none does."""
    module = (error.name or "").partition(".")[0]
    for requirement in metadata.requires("strizh") or ():
        needed = re.match(r"""([\w.-]+).*; extra == ["']([\w-]+)["']""", requirement)
        if needed and needed[1].replace("-", "_") == module != "strizh":
            return MissingExtra(module, needed[2], command)
    raise error


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    if str(message) not in _shown:  # each bundle that a command opens would say it again
        _shown.add(str(message))
        print(f"strizh: warning: {message}", file=file or sys.stderr)


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM ends the command as an error does, so that what is half done is taken away.

    Only where nobody has said yet what it does: a host's handler and an ignored signal stay.
    """

    def end(*_: object) -> NoReturn:
        raise SystemExit(TERMINATED)

    main_thread = threading.current_thread() is threading.main_thread()  # which alone gets signals
    if not main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _say(line: str, status: int) -> int:
    _forget_output()  # the line is about what went wrong first, not about what standard output refuses
    print(f"strizh: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
