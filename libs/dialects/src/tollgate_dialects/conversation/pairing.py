"""Calls of tools and their results, as the vendors want them to stand.

Promises: no two calls share an id, which vendors refuse, where a model counts anew in each turn
(Kimi) or calls all alike; each result stands right behind its call under the call's id, in the
order of the calls, and each call has one at most. What belongs to no call stays where it is. What
an id becomes depends on what stands before it alone, so that prompt caches hold.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tollgate_dialects.conversation.parts import Part, Text, ToolCall, ToolResult
from tollgate_dialects.conversation.request import Turn


@dataclass(slots=True)
class _Call:
    """A call, under the id that it is sent with."""

    call_id: str
    results: list[ToolResult] = field(default_factory=list)

    def take(self, result: ToolResult) -> None:
        """A client that repeats itself has said one thing."""
        if not self.results or self.results[-1] != result:
            self.results.append(result)

    def result(self) -> ToolResult:
        """All that was answered, as one: vendors refuse a second result."""
        last = self.results[-1]
        parts = tuple(part for result in self.results for part in result.parts)
        marks = [result.cache for result in self.results if result.cache]
        return replace(
            last, call_id=self.call_id, parts=parts, cache=marks[-1] if marks else last.cache
        )


class _Calls:
    """The calls so far, by the id that the client has."""

    def __init__(self, *, is_unique_in_answer: bool) -> None:
        self._is_unique_in_answer = is_unique_in_answer
        self._used: set[str] = set()
        self._numbers: dict[str, int] = {}
        # Those without a result, the latest answer's last; and the last one with one.
        self._waiting: dict[str, list[tuple[int, deque[_Call]]]] = {}
        self._answered: dict[str, _Call] = {}
        self._answer = 0

    def begin_answer(self) -> None:
        """What is called from here on is answered before what was called earlier."""
        self._answer += 1
        if self._is_unique_in_answer:
            self._used.clear()
            self._numbers.clear()

    def add(self, call_id: str) -> _Call:
        unused, number = call_id, self._numbers.get(call_id, 1)
        while unused in self._used:
            number += 1
            unused = f"{call_id}_{number}"
        self._numbers[call_id] = number
        self._used.add(unused)
        call = _Call(unused)
        answers = self._waiting.setdefault(call_id, [])
        if not answers or answers[-1][0] != self._answer:
            answers.append((self._answer, deque()))
        answers[-1][1].append(call)
        return call

    def of(self, result: ToolResult) -> _Call | None:
        """The call that a result belongs to."""
        if answers := self._waiting.get(result.call_id):
            waiting = answers[-1][1]
            self._answered[result.call_id] = waiting.popleft()
            if not waiting:
                answers.pop()
        return self._answered.get(result.call_id)


def _is_blank(turn: Turn) -> bool:
    return all(isinstance(part, Text) and not part.text.strip() for part in turn.parts)


def paired(turns: Sequence[Turn], *, is_joined: bool) -> list[Turn]:
    """The same turns, with calls and results in their places.

    `is_joined`: answers in a row become one message. Results stand behind the last of them, and ids
    have to be unique in that message alone (Anthropic, Bedrock); else in the whole conversation
    (Moonshot's own servers, OpenAI's Responses).
    """
    calls = _Calls(is_unique_in_answer=is_joined)
    kept: list[Turn] = []
    # By the place of the turn that results stand behind: the calls that they are of.
    behind: dict[int, list[_Call]] = {}
    here: list[_Call] = []
    before = ""
    for turn in turns:
        if is_joined and _is_blank(turn):
            continue  # it is not sent, so the answers around it are one
        is_answer = turn.role == "assistant"
        if is_answer:
            if before != "assistant":
                calls.begin_answer()
            if is_joined and before == "assistant":
                del behind[len(kept) - 1]
            else:
                here = []
            behind[len(kept)] = here
        before = turn.role
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolCall) and is_answer:
                here.append(calls.add(part.call_id))
                parts.append(replace(part, call_id=here[-1].call_id))
            elif isinstance(part, ToolResult) and not is_answer and (call := calls.of(part)):
                call.take(part)
            else:
                parts.append(part)
        if parts or not turn.parts:
            kept.append(replace(turn, parts=tuple(parts)))
    ordered = _ordered(kept, behind)
    if turns and turns[-1].role != "assistant":
        _end_on_results(ordered)
    return ordered


def _ordered(kept: Sequence[Turn], behind: dict[int, list[_Call]]) -> list[Turn]:
    """Results lead what the user says next; else they are a turn of their own."""
    ordered: list[Turn] = []
    results: list[Part] = []
    for at, turn in enumerate(kept):
        if results and turn.role == "user":
            ordered.append(replace(turn, parts=(*results, *turn.parts)))
        else:
            if results:
                ordered.append(Turn("user", tuple(results)))
            ordered.append(turn)
        results = [call.result() for call in behind.get(at, ()) if call.results]
    if results:
        ordered.append(Turn("user", tuple(results)))
    return ordered


def _end_on_results(ordered: list[Turn]) -> None:
    """Words that stood before the last result are said before the calls.

    Else they were the last, and the beginning of the answer that is asked for.
    """
    at = len(ordered) - 1
    while at > 0 and ordered[at].role == "assistant":
        at -= 1
    words = [part for turn in ordered[at + 1 :] for part in turn.parts]
    if not words or at == 0 or any(isinstance(part, ToolCall) for part in words):
        return
    if not any(isinstance(part, ToolResult) for part in ordered[at].parts):
        return
    said = ordered[at - 1].parts
    first = next((n for n, part in enumerate(said) if isinstance(part, ToolCall)), len(said))
    parts = (*said[:first], *words, *said[first:])
    ordered[at - 1 :] = [replace(ordered[at - 1], parts=parts), ordered[at]]
