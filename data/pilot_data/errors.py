"""What is wrong with a client's data."""


class DataError(Exception):
    """A dataset that cannot be used: `what` names the file, the value and the rule, `hint` what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.what = what
        self.hint = hint


class MetricError(DataError):
    """A metric of the client's own that cannot be found, or breaks the rule of what it returns."""
