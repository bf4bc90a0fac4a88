"""What can come back instead of an answer."""

from pilot_proto.problem import Problem


class ApiError(Exception):
    """The service answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        hint = f"; {problem.hint}" if problem.hint else ""
        super().__init__(f"{problem.detail or problem.title} [{problem.code}]{hint}")
        self.problem = problem

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def status(self) -> int:
        return self.problem.status


class Unreachable(Exception):
    """The service did not answer, or said that it cannot now. Worth trying again."""


class Untrusted(Exception):
    """The certificates that were to vouch for the service cannot be used."""
