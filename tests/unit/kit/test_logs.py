import io
import json
import logging
import subprocess
import sys

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
    """Whatever a field holds, one event is one line that parses, and is bounded."""
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


# A process of its own: the limit on the size of files that stands for a full disk holds for all of it.
_ON_A_DISK = """
import resource, sys
from pathlib import Path
from tollgate_kit.logs import Log
path = Path(sys.argv[1])
file = path.open("ab", buffering=0)
def space(left):
    size = path.stat().st_size + left if left >= 0 else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
log = Log("t", out=file)
for number, left in enumerate(map(int, sys.argv[2:])):
    space(left)
    log.info("event", number=number)
"""


def _on_a_disk(path, *spaces):
    """One line for each number of bytes that are left before it (-1: plenty); the file's lines."""
    argv = [sys.executable, "-c", _ON_A_DISK, str(path), *map(str, spaces)]
    subprocess.run(argv, check=True, timeout=30)
    return path.read_text().splitlines()


def test_case_B3_a_log_that_cannot_be_written_raises_nothing_and_says_what_was_lost(tmp_path):
    """A full disk costs log lines, never a call; when there is space, one line says how many."""
    said, kept = map(json.loads, _on_a_disk(tmp_path / "log", *[0] * 7, -1))
    assert ("log.lines_lost", 7, 7) == (said["event"], said["lines"], kept["number"])


@pytest.mark.parametrize(
    "spaces", [(1,), (60,), (-1, 100, 0), (100, 100, 100), (5, 250, 40), (120,)]
)
def test_case_B3_every_line_is_written_whole_or_counted(tmp_path, spaces):
    """A disk that fills in the middle of a line: each line is there or counted, none is mangled."""
    whole, lost = 0, 0
    for line in _on_a_disk(tmp_path / "log", *spaces, -1):
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a torn one: it is counted as lost
        whole += event["event"] == "event"
        lost += event.get("lines", 0)
    assert len(spaces) + 1 == whole + lost


@pytest.mark.parametrize("value", [2**70, "\ud800", {1: 2}, float("nan"), {"a": {"b": 2**70}}])
def test_case_B3_a_value_that_no_line_can_hold_does_no_harm(value):
    """Whatever a caller hands in, the event is logged and nothing is raised."""
    line = json.loads(_lines(lambda log: log.error("odd", value=value)))
    assert ("odd", "error") == (line["event"], line["level"])
