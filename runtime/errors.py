"""The one error tree. Every message says what is, what was expected, and what to do."""


class Error(Exception):
    """Base of everything that strizh raises on purpose."""


class BundleError(Error):
    """The bundle is missing, damaged, hostile, or written in a format that this runtime does not read."""


class CheckpointError(Error):
    """The checkpoint lacks something, holds something unexpected, or cannot be read."""


class UnsupportedModel(Error):
    """No family describes this model, or its family cannot do what was asked."""


class ParityError(Error):
    """A graph's vectors are further from the model's than its recipe promises."""


class DeviceError(Error):
    """This machine, or what is installed on it, cannot run what was asked."""


class UsageError(Error):
    """An argument is wrong: the message names the ones that are right."""


class TextError(UsageError):
    """One of the texts is wrong: the `index`-th, counted from 0, and `problem` says how."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(index, problem)
        self.index, self.problem = index, problem

    def __str__(self) -> str:
        return f"text {self.index} {self.problem}"


class MissingExtra(Error):
    """An optional dependency is absent: the message is the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed. Run: pip install 'strizh[{extra}]'")


class TruncationWarning(UserWarning):
    """Texts were longer than the bundle's limit and lost their last tokens; the message counts both."""
