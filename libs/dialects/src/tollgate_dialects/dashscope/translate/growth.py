"""What is new in a text that a stream tells in pieces, or whole so far in each frame.

DashScope does either, as it was asked or as its model can. Promises that a text that is told whole
is never told twice, and one in pieces never loses a piece that only repeats what was said: where
frames could be either, those behind the first wait for the next.
"""

from typing import Final

from tollgate_dialects.conversation.backlog import Backlog

# Pieces may happen to repeat and lengthen one another, but not twice and to so many characters.
_SURE: Final = 8


class Mode:
    """Which of both a stream does; None: it is not known yet."""

    def __init__(self) -> None:
        self.is_whole: bool | None = None


class Growth:
    """One text of a stream."""

    def __init__(self, mode: Mode) -> None:
        """`mode`: of the stream, which all its texts find out together."""
        self._mode = mode
        # While it is not known: what was told, and the texts that wait.
        self._first = ""
        self._waiting: list[str] = []
        self._backlog = Backlog()
        self._told_characters = 0

    def take(self, text: str, *, is_beside: bool = False) -> str:
        """What a frame's text adds; empty also while it waits. Raises ValueError for too much.

        `is_beside`: the frame says something else, too. In pieces, no text stands still beside one.
        """
        if self._mode.is_whole is None:
            self._find_out(text, is_beside=is_beside)
        if self._mode.is_whole is None:
            return self._wait(text)
        if self._mode.is_whole:
            self._waiting.clear()
            new = text[self._told_characters :]
            self._told_characters += len(new)
            return new
        return self._all_waiting() + text

    def finish(self) -> str:
        """What is left when the answer has ended: that it never became less, shows it was whole."""
        if self._mode.is_whole is False:
            return self._all_waiting()
        last, self._waiting = self._waiting[-1:], []
        return last[0][self._told_characters :] if last else ""

    def _find_out(self, text: str, *, is_beside: bool) -> None:
        if not self._first:
            return
        last = self._waiting[-1] if self._waiting else self._first
        if not text or not text.startswith(last):
            self._mode.is_whole = False
        elif is_beside or (len(text) > len(last) > len(self._first) and len(text) >= _SURE):
            self._mode.is_whole = True

    def _wait(self, text: str) -> str:
        if self._first:
            self._backlog.take(text, parts=1)
            self._waiting.append(text)
            return ""
        self._first = text
        self._told_characters = len(text)
        return text

    def _all_waiting(self) -> str:
        waited, self._waiting = "".join(self._waiting), []
        return waited
