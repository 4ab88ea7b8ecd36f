"""What a user can cause and mend.

MajlError
├── UsageError            a wrong option or value (exit code 2)
├── ConfigError           a wrong key or value in a configuration
├── AudioError            a file that cannot be read or written as audio
├── DataError             a corpus, manifest or label file that is not as described
├── CheckpointError       a model folder that is incomplete, foreign or damaged
├── HubError              a model that is not here, or cannot be fetched
├── DeviceError           a device or precision this machine does not have
├── TrainingError         a run that cannot go on (NaN loss, a foreign run folder)
├── DependencyError       an optional package that is not installed
└── Cancelled             the caller's progress callback asked to stop

Each says in one line what is wrong and, in ``hint``, what to do.
"""

from __future__ import annotations


class MajlError(Exception):
    """Base of all errors that a user can cause; ``exit_code`` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(MajlError):
    exit_code = 2


class ConfigError(MajlError):
    pass


class AudioError(MajlError):
    pass


class DataError(MajlError):
    pass


class CheckpointError(MajlError):
    pass


class HubError(MajlError):
    pass


class DeviceError(MajlError):
    pass


class TrainingError(MajlError):
    pass


class DependencyError(MajlError):
    pass


class Cancelled(MajlError):
    exit_code = 130
