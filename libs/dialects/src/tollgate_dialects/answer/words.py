"""How much of a document the model has said, where it says more than texts: arguments as an object.

Promises that all that stands under the named members is counted, whatever it is, and once.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Any, Final

from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.common import documents


class Counter:
    """Counts what a document of a stream says, in its bytes where all of its words are texts."""

    def __init__(self, names: str) -> None:
        """Members that hold the words, joined by `|`."""
        self.names: Final = frozenset(names.split("|"))
        self._nested = re.compile(rb'"(?:%b)"\s*+:\s*+[\[{](?!\s*+[\]}])' % names.encode())

    def count(self, meter: AnswerMeter, data: bytes, document: Any) -> None:
        """`data` is what `document` was read from."""
        if self._nested.search(data) is None:  # as nearly always
            meter.produce(data)
        else:
            meter.grow(size(document, self.names))


def size(document: Any, names: AbstractSet[str]) -> int:
    """The bytes of what these members hold, however deep they stand: all but texts as printed."""
    found = 0
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        if type(holder) is list:
            waiting += holder
        elif type(holder) is dict:
            for name, value in holder.items():
                kind = type(value)
                if name in names:
                    found += _printed(value)
                elif kind is dict or kind is list:
                    waiting.append(value)
    return found


def _printed(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    try:
        return 0 if value is None else len(documents.written(value))
    except (ValueError, TypeError):
        # Nested too deeply to be written: it ends the answer, and reaches nobody.
        return 0
