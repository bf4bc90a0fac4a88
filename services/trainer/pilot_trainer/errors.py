"""What can go wrong in a trainer, and the exit code that tells the orchestrator whether to try again."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the batch program."""

    DONE = 0
    BAD_ASSIGNMENT = 64
    BAD_DATA = 65
    INTERNAL = 70
    TEMPORARY = 75
    BAD_CONFIGURATION = 78


class TrainerError(Exception):
    """Something that the log and the termination message should explain; `exit_code` says what to do about it."""

    exit_code = Exit.INTERNAL
    code = "internal"


class BadAssignment(TrainerError):
    """The assignment cannot be executed as it is; trying again is pointless."""

    exit_code = Exit.BAD_ASSIGNMENT
    code = "bad_assignment"


class BadData(TrainerError):
    """The client's data cannot be trained on."""

    exit_code = Exit.BAD_DATA
    code = "bad_data"


class BadConfiguration(TrainerError):
    """The environment or the base model is not what a trainer needs."""

    exit_code = Exit.BAD_CONFIGURATION
    code = "bad_configuration"


class Temporary(TrainerError):
    """Another try may succeed."""

    exit_code = Exit.TEMPORARY
    code = "temporary"


class DidNotMove(TrainerError):
    """An adapter that had to learn is bit for bit what it was. Deterministic, so not worth another try."""

    exit_code = Exit.BAD_CONFIGURATION
    code = "adapter_did_not_move"


class Diverged(TrainerError):
    """Training ended in values that are not finite. Deterministic, so not worth another try."""

    exit_code = Exit.BAD_CONFIGURATION
    code = "diverged"


class Refused(TrainerError):
    """The registry did not admit the update; `code` is its reason."""

    exit_code = Exit.BAD_DATA

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SymmetricStart(UserWarning):
    """psi^s starts as an exact copy of psi^t, so both receive the same gradients for ever."""
