"""Shows how far a long step is: a bar on a terminal, a line for each tenth elsewhere."""

from typing import TextIO

_WIDTH = 30
_STEPS = 10


class Bar:
    """One bar, from its first call to the one that says all is done."""

    def __init__(self, title: str, out: TextIO) -> None:
        self._title = title
        self._out = out
        self._is_terminal = out.isatty()
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        """So many of so many are done."""
        steps = _WIDTH if self._is_terminal else _STEPS
        part = steps * done // total if total else steps
        if part == self._shown and done != total:
            return
        self._shown = part
        filled = _WIDTH * done // total if total else _WIDTH
        bar = "#" * filled + "." * (_WIDTH - filled)
        end = "\n" if done == total or not self._is_terminal else ""
        start = "\r" if self._is_terminal else ""
        self._out.write(f"{start}{self._title} [{bar}] {done}/{total}{end}")
        self._out.flush()
