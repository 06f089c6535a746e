"""An id of its own for each call of a conversation.

Some models count anew in each answer (Kimi's `search:0`), and some vendors refuse a conversation in
which two calls, or two results, have one id. Promises that an id which no earlier call has stays as
it is, and that the ids of a conversation that has gone on are those that it had before.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from tollgate_dialects.conversation.parts import Part, ToolCall, ToolResult
from tollgate_dialects.conversation.request import Turn


def unique(turns: Iterable[Turn]) -> list[Turn]:
    """The turns, each call under an id of its own and each result under that of its call."""
    turns = list(turns)
    ids = [part.call_id for turn in turns for part in turn.parts if isinstance(part, ToolCall)]
    if len(ids) == len(set(ids)):
        return turns
    return _Renaming(ids).turns(turns)


class _Renaming:
    def __init__(self, ids: Iterable[str]) -> None:
        # What any call is called, now or by the client: nobody else may be.
        self._taken = set(ids)
        # By the client's id: how often it was given, whose calls wait for a result (an answer's
        # number, and the ids that they have now), and who got one last.
        self._numbers: dict[str, int] = {}
        self._waiting: dict[str, list[tuple[int, deque[str]]]] = {}
        self._answered: dict[str, str] = {}

    def turns(self, turns: Iterable[Turn]) -> list[Turn]:
        renamed: list[Turn] = []
        answer = 0
        for turn in turns:
            if turn.role != "assistant":
                # Several turns of the assistant's are one answer.
                answer += 1
            parts = tuple(self._part(part, answer) for part in turn.parts)
            renamed.append(replace(turn, parts=parts))
        return renamed

    def _part(self, part: Part, answer: int) -> Part:
        if isinstance(part, ToolCall):
            call_id = self._named(part.call_id)
            waiting = self._waiting.setdefault(part.call_id, [])
            if not waiting or waiting[-1][0] != answer:
                waiting.append((answer, deque()))
            waiting[-1][1].append(call_id)
            return replace(part, call_id=call_id)
        if isinstance(part, ToolResult):
            return replace(part, call_id=self._answering(part.call_id))
        return part

    def _named(self, call_id: str) -> str:
        number = self._numbers.get(call_id, 0) + 1
        unused = call_id
        while number > 1 and (unused := f"{call_id}_{number}") in self._taken:
            number += 1
        self._numbers[call_id] = number
        self._taken.add(unused)
        return unused

    def _answering(self, call_id: str) -> str:
        """The call of a result: of those that wait the first of the newest answer."""
        if waiting := self._waiting.get(call_id):
            calls = waiting[-1][1]
            self._answered[call_id] = calls.popleft()
            if not calls:
                waiting.pop()
        return self._answered.get(call_id, call_id)
