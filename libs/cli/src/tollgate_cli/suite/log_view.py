"""Shows the processes' logs to a person: one line an event, the process's name in front.

JSON lines (the services') become readable ones; others (the engines') pass as they are. Control
characters never reach the terminal.
"""

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
_LEVELS = {"warning": 33, "error": 31}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NAME_WIDTH = 10
# What one look reads of one log at most: the rest waits for the next look.
_READ_MAX = 256 * 1024
# A log that has grown beyond this is moved aside (one older file is kept).
LOG_BYTES_MAX = 64 * 1024 * 1024


def render(name: str, line: str, *, colour: int | None) -> str:
    """One line for the terminal; `colour` is the process's own (None: no colours)."""
    level, text = _readable(line)
    text = _CONTROL.sub("?", text)
    label = f"{name:<{_NAME_WIDTH}}"
    if colour is None:
        return f"{label} │ {text}"
    tint = _LEVELS.get(level)
    shown = f"\x1b[{tint}m{text}\x1b[0m" if tint else text
    return f"\x1b[{colour}m{label} │\x1b[0m {shown}"


def colour_of(index: int) -> int:
    """The colour of the n-th process."""
    return _COLOURS[index % len(_COLOURS)]


def _readable(line: str) -> tuple[str, str]:
    try:
        event = json.loads(line)
    except ValueError:
        return "", line
    if not isinstance(event, dict) or "event" not in event:
        return "", line
    level = str(event.pop("level", ""))
    event.pop("service", None)
    stamp = event.pop("time_unix_ms", None)
    when = ""
    if isinstance(stamp, int):
        moment = time.localtime(stamp // 1000)
        when = f"{time.strftime('%H:%M:%S', moment)}.{stamp % 1000:03d} "
    name = event.pop("event")
    fields = " ".join(f"{key}={_value(value)}" for key, value in event.items())
    mark = "" if level in {"", "info"} else f"{level.upper()} "
    return level, f"{when}{mark}{name} {fields}".rstrip()


def _value(value: object) -> str:
    if isinstance(value, str) and value and not any(c.isspace() for c in value):
        return value
    return json.dumps(value, ensure_ascii=False)


class Screen:
    """Prints the lines of several processes, each in its colour when a terminal reads them."""

    def __init__(self, names: Sequence[str]) -> None:
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._colours = {
            name: colour_of(index) if coloured else None for index, name in enumerate(names)
        }

    def show(self, name: str, line: str) -> None:
        print(render(name, line, colour=self._colours.get(name)), flush=True)


class Follower:
    """Reads what is appended to log files, whole lines only; survives their being moved aside."""

    def __init__(self, logs: Iterable[tuple[str, Path]], *, from_start: bool) -> None:
        self._logs = list(logs)
        self._offsets = {path: 0 if from_start else _size(path) for _, path in self._logs}

    def lines(self) -> Iterator[tuple[str, str]]:
        """(name, line) for everything that is new."""
        for name, path in self._logs:
            for line in self._new(path):
                yield name, line

    def _new(self, path: Path) -> list[str]:
        if _size(path) < self._offsets[path]:
            self._offsets[path] = 0
        try:
            with path.open("rb") as stream:
                stream.seek(self._offsets[path])
                data = stream.read(_READ_MAX)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) == _READ_MAX:
            end = _READ_MAX
        self._offsets[path] += end
        return data[:end].decode("utf-8", "replace").splitlines()


def trim(path: Path) -> None:
    """Keeps a log bounded: the writer has it open to append, so it is copied aside and emptied."""
    if _size(path) <= LOG_BYTES_MAX:
        return
    older = path.with_suffix(".log.1")
    older.unlink(missing_ok=True)
    with path.open("rb") as source, older.open("wb") as target:
        while block := source.read(1024 * 1024):
            target.write(block)
    os.truncate(path, 0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
