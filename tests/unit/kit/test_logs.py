import io
import json
import logging

import pytest

from tollgate_kit.clock import ManualClock
from tollgate_kit.logs import Log, capture_standard_library
from tollgate_kit.secret import Secret

HOSTILE = [
    "a\nb",
    "\x1b[31mred",
    "\u2028\u2029",
    "${jndi:ldap://x}",
    '"},{"level":"x',
    "\x00",
    "x" * 9000,
]


def _lines(write):
    out = io.StringIO()
    write(Log("t", clock=ManualClock(), out=out))
    return out.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_field_stays_one_line_of_json(text):
    """Trust row 24: whatever a field holds, one event is one line that parses, and is bounded."""
    written = _lines(lambda log: log.info("call.finished", model=text))
    assert (1, True) == (len(written.splitlines()), len(written) < 5000)
    assert "call.finished" == json.loads(written)["event"]


@pytest.mark.parametrize(
    "text",
    ["sk-ant-api03-abcdefgh", "Bearer abc.def.ghi", "AIza" + "x" * 35, "postgresql://u:pw123@h/d"],
)
def test_what_looks_like_a_credential_is_blanked(text):
    """The backstop: a credential that reached a log call all the same does not reach the log."""
    written = _lines(lambda log: log.error("oops", detail=text))
    assert not any(part in written for part in ("abcdefgh", "abc.def", "xxxxx", "pw123"))


def test_an_exception_is_logged_by_type_and_place_without_its_text():
    """An exception's text may quote a body or a key; only its type and where it arose are logged."""

    def fail(log):
        try:
            raise ValueError("canary-body")
        except ValueError as error:
            log.exception("broke", error, cause=error, key=Secret("k"))

    written = _lines(fail)
    assert "canary-body" not in written
    line = json.loads(written)
    assert ("ValueError", "ValueError", "***") == (line["error"], line["cause"], line["key"])
    assert "test_logs.py:" in line["at"]


def test_libraries_speak_through_the_log_without_their_arguments():
    """A library's warning is one JSON line with its fixed text; what it would fill in stays out."""
    out = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        capture_standard_library(Log("t", clock=ManualClock(), out=out))
        logging.getLogger("pool").warning("cannot reach %s", "canary.internal:5432")
        logging.getLogger("pool").info("not worth a line")
    finally:
        root.handlers, root.level = handlers, level
    (line,) = out.getvalue().splitlines()
    assert ("library", "pool", "cannot reach %s") == tuple(
        json.loads(line)[name] for name in ("event", "logger", "message")
    )
