"""What a person is told when a command cannot go on: what is wrong, and what to do about it."""


class Fault(Exception):  # noqa: N818 (it is not a bug in the program)
    """A failure with a remedy; printed as two lines, never as a traceback."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class PortTaken(Fault):
    """A process could not listen: another program was quicker."""
