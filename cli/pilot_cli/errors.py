"""What the command says when it cannot do what it was asked, and with which exit code."""

FAILED, USAGE, MISSING, AUTH, CONFLICT, TIMEOUT, INPUTS_DELETED = 1, 2, 3, 4, 5, 6, 7


class CommandError(Exception):
    """What is wrong, why, and what to do next."""

    def __init__(self, what: str, *, why: str = "", hint: str = "", exit_code: int = FAILED) -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.what = what
        self.why = why
        self.hint = hint
        self.exit_code = exit_code
