"""What can be wrong with what was asked for. The message is one line: what is, what was expected, what to do.

Everything else that is raised is a mistake of the harness, and shows where it is.
"""


class BenchmarkError(Exception):
    """Base of everything that the harness raises on purpose."""


class UnknownName(BenchmarkError):
    """A name on the command line that nothing has; the message lists those that there are."""


class UnfitFile(BenchmarkError):
    """A file that was given is absent, is no result, or holds figures that cannot stand beside these."""


class UnfitOption(BenchmarkError):
    """An option that the suite does not heed, or one that it cannot do without."""


class NotInstallable(BenchmarkError):
    """An environment cannot be made here; pip or npm has printed why, or is missing."""
