"""The errors that a user can see.

JudgeloopError                 exit code
├── InputError                 2   a file, flag or setting is wrong
│   ├── RowError               2   one row of a file is wrong, with the file and the line
│   └── UnreachableError       2   a model is not on this machine, and the hub cannot be asked for it
├── EngineError                1   a model could not be loaded or a server could not answer
├── StoreError                 1   a result could not be written (full disk, locked file)
├── JudgeError                 1   too few answers got a verdict to go on with
└── TrainingError              1   a training step could not be done

Each message is one line that says what is wrong and what to do. Anything else that escapes a command is a bug and
keeps its traceback.
"""


class JudgeloopError(Exception):
    """The base of every error that this project raises on purpose."""

    exit_code = 1


class InputError(JudgeloopError, ValueError):
    """A file, a flag or a setting is wrong, for example an unknown key in a recipe."""

    exit_code = 2


class RowError(InputError):
    """One row of a file is wrong. The message begins with `file:line`."""


class UnreachableError(InputError):
    """A model is not on this machine, and the hub cannot be reached to ask for it."""


class EngineError(JudgeloopError, RuntimeError):
    """A model could not be loaded, or a server could not answer."""


class StoreError(JudgeloopError, OSError):
    """A result could not be written. Earlier results are kept."""


class JudgeError(JudgeloopError):
    """Too few answers got a verdict to go on with."""


class TrainingError(JudgeloopError):
    """A training step could not be done, for example because there is no pair to train on."""
