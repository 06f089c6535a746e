"""One JSON line per event on standard output: static name, fields as keywords, ids not objects.

Never a body, a key or upstream text: callers do not pass them, and every line goes through a
backstop that blanks what looks like a credential. An exception is logged as its type and the
place in our code, never its text, which may quote what it failed on. Logging never raises: a line
that cannot be made is named instead, one that cannot be written is counted (log_sink).
"""

import asyncio
import logging
import re
import sys
import traceback
from typing import Any, TextIO

import orjson

from tollgate_kit.clock import Clock, SystemClock
from tollgate_kit.log_sink import LogSink
from tollgate_kit.secret import Secret

# Credentials as the field writes them: virtual and provider keys, bearer values, DSN passwords.
_CREDENTIAL = re.compile(
    r"sk-[A-Za-z0-9_-]{8,}|AIza[\w-]{20,}|ya29\.[\w.-]{8,}|(?i:bearer)\s+[\w.~+/-]{8,}|(?<=://)[^\s/@]+:[^\s/@]+(?=@)"
)
_TRACES = ("sk-", "aiza", "ya29.", "bearer", "://")
_FIELD_MAX = 2000  # characters of one field; a longer one is cut, so that a line has a bound


def redact(text: str) -> str:
    """The text without anything that looks like a credential."""
    lowered = text.lower()
    # Each alternative of the pattern has one of these in it: most lines hold none.
    for trace in _TRACES:
        if trace in lowered:
            return _CREDENTIAL.sub("***", text)
    return text


class Log:
    """The log of one process. Cheap enough for one line per call."""

    def __init__(
        self, service: str, *, clock: Clock | None = None, out: TextIO | None = None
    ) -> None:
        self._service = service
        self._clock = clock or SystemClock()
        self._sink = LogSink(out or sys.stdout, self._lost_line)
        self._flushing = False

    def info(self, event: str, **fields: Any) -> None:
        self._emit("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._emit("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._emit("error", event, fields)

    def exception(self, event: str, error: BaseException, **fields: Any) -> None:
        """Log what went wrong by type and place; the exception's text stays out."""
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        place = " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in reversed(frames))
        self._emit("error", event, {**fields, "error": type(error).__name__, "at": place})

    def flush(self) -> None:
        """Write what waits for the end of the event loop's turn."""
        self._flushing = False
        self._sink.flush()

    def _emit(self, level: str, event: str, fields: dict[str, Any]) -> None:
        try:
            text = self._line(level, event, fields)
        except Exception as error:  # noqa: BLE001 - a call must not fail for its log line
            unloggable = {"unloggable": type(error).__name__, "fields": len(fields)}
            text = self._line(level, event, unloggable)
        self._sink.put(text)
        self._flush_soon()

    def _line(self, level: str, event: str, fields: dict[str, Any]) -> str:
        line = {
            "time_unix_ms": self._clock.unix_ms(),
            "level": level,
            "service": self._service,
            "event": event,
            **fields,
        }
        data = orjson.dumps(line, default=_name_only)
        if len(data) > _FIELD_MAX:  # else no field is
            for name, value in fields.items():
                if type(value) is str and len(value) > _FIELD_MAX:
                    line[name] = value[:_FIELD_MAX] + "…"
            data = orjson.dumps(line, default=_name_only)
        text = redact(data.decode())
        if not text.isascii():
            # U+2028 and U+2029 end a line for some readers of logs.
            text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return text + "\n"

    def _lost_line(self, lines: int) -> str:
        return self._line("error", "log.lines_lost", {"lines": lines})

    def _flush_soon(self) -> None:
        """Once a turn of the event loop, whatever the number of lines; at once without a loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._sink.flush()
            return
        if not self._flushing:
            self._flushing = True
            loop.call_soon(self.flush)


class _StandardLibrary(logging.Handler):
    """What libraries log by the standard library: their fixed text only, never its arguments."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warning("library", logger=record.name, message=str(record.msg).strip())


def capture_standard_library(log: Log) -> None:
    """Let every library's warnings be lines of this log: of the process, so called once."""
    root = logging.getLogger()
    root.handlers = [_StandardLibrary(log)]
    root.setLevel(logging.WARNING)


def _name_only(value: Any) -> str:
    """What stands for a value that is not plain: a secret is blanked, anything else is named."""
    if isinstance(value, Secret):
        return "***"
    return type(value).__name__
