"""How much of a document the model has said, where it says more than texts: arguments as an object.

Promises that all that stands under the named members is counted, whatever it is, and once.
"""

from collections.abc import Set as AbstractSet
from typing import Any

from tollgate_dialects.common import documents


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
