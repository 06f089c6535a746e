"""The arguments of a call that come piece by piece: a path into an object, and what to put there.

Promises: the object that is made is no larger than what was told of it, and its nesting is bounded.
"""

import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common import shapes

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,9})\]|\[(?:'([^']*)'|\"([^\"]*)\")\]")
_STEPS_MAX: Final = 64
_VALUES: Final = ("stringValue", "numberValue", "boolValue", "nullValue")


class PartialArguments:
    """Puts one call's arguments together."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}
        # The pieces of texts that have begun, by path.
        self._texts: dict[str, list[str]] = {}
        self._places: list[tuple[str, Any, Any]] = []

    def take(self, piece: Mapping[str, Any]) -> None:
        """One piece. Raises ShapeError."""
        path = shapes.text(piece, "jsonPath")
        name = next((name for name in _VALUES if name in piece), None)
        if name == "stringValue":
            text = shapes.text(piece, name)
            if path in self._texts:
                self._texts[path].append(text)
                return
            self._texts[path] = [text]
            self._put(path, None)
        elif name is not None:
            self._put(path, None if name == "nullValue" else piece[name])

    def whole(self) -> dict[str, Any]:
        """The object, with its texts whole."""
        for path, holder, step in self._places:
            if path in self._texts:
                holder[step] = "".join(self._texts[path])
        return self.value

    def _put(self, path: str, value: Any) -> None:
        steps = _steps(path)
        holder: Any = self.value
        for step, after in itertools.pairwise(steps):
            holder = _below(holder, step, [] if isinstance(after, int) else {})
        _below(holder, steps[-1], value)
        holder[steps[-1]] = value
        self._places.append((path, holder, steps[-1]))


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    position = 1
    while path.startswith("$") and position < len(path):
        found = _STEP.match(path, position)
        if found is None or len(steps) == _STEPS_MAX:
            raise shapes.ShapeError("jsonPath", "a path")
        plain, index, single, double = found.groups()
        steps.append(int(index) if index is not None else plain or single or double or "")
        position = found.end()
    if not steps or not isinstance(steps[0], str):
        raise shapes.ShapeError("jsonPath", "a path")
    return steps


def _below(holder: Any, step: str | int, new: Any) -> Any:
    """What a step leads to; made, where it is the next one."""
    if isinstance(step, str) and isinstance(holder, dict):
        return holder.setdefault(step, new)
    if isinstance(step, int) and isinstance(holder, list) and step <= len(holder):
        if step == len(holder):
            holder.append(new)
        return holder[step]
    raise shapes.ShapeError("jsonPath", "a path that fits")
