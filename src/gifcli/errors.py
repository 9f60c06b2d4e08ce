"""Every error that gifcli raises on purpose, and the exit code that each one means.

    GifError                      1   (a bug, if it ever reaches the user as such)
    ├── UsageError                2   a flag or a command that makes no sense
    │   └── RecipeError           2   a recipe with problems, all of them listed
    ├── InputError                3   the source cannot be used
    ├── ShortfallError            4   finished, but short of the ratio
    ├── CheckError                5   a check that was asked for failed
    ├── EnvironmentFault          6   the machine lacks something
    │   ├── ModelMissingError     6   a model is not there, or broken
    │   └── DiskFullError         6   no room left to write
    └── BusyError                75   another process writes to this run

A message says what was expected, what was found, where, and what to do next.
"""


class GifError(Exception):
    """Base of all errors that gifcli raises on purpose."""

    exit_code = 1


class UsageError(GifError):
    """A flag, an argument or a changed setting that cannot be followed."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe with one or more problems; the message lists them all, each with its path."""


class InputError(GifError):
    """The source folder, or a file in it, cannot be used."""

    exit_code = 3


class ShortfallError(GifError):
    """The run finished, but some seeds have fewer kept samples than the ratio asks for."""

    exit_code = 4


class CheckError(GifError):
    """A check that the user asked for failed."""

    exit_code = 5


class EnvironmentFault(GifError):  # noqa: N818 - "EnvironmentError" is a builtin
    """The machine lacks something that the run needs."""

    exit_code = 6


class ModelMissingError(EnvironmentFault):
    """A model is not on this machine and may not be downloaded, or its files are broken."""


class DiskFullError(EnvironmentFault):
    """There is no room left to write; what is done stays done, and the run resumes once there is room."""


class BusyError(GifError):
    """Another process is writing to this run folder."""

    exit_code = 75
