"""Logs on a terminal: readable, whole, and unable to play tricks on it."""

import json
from pathlib import Path

from tollgate_cli.suite import log_view


def test_an_event_becomes_one_readable_line() -> None:
    """The fields are shown; the process's name stands in front."""
    line = json.dumps(
        {"time_unix_ms": 0, "level": "info", "service": "x", "event": "started", "port": 7401}
    )
    shown = log_view.render("authz", line, colour=None)
    assert shown.startswith("authz ")
    assert shown.endswith("started port=7401")


def test_warnings_are_marked() -> None:
    """A level above info is said, in words and in colour."""
    line = json.dumps({"level": "error", "event": "broken", "why": "a b"})
    assert 'ERROR broken why="a b"' in log_view.render("router", line, colour=None)
    assert "\x1b[31m" in log_view.render("router", line, colour=36)


def test_control_characters_do_not_reach_the_terminal() -> None:
    """Escape sequences in a log line are shown as question marks."""
    for line in ("\x1b[2Jgone", json.dumps({"event": "e", "x": "\x9b31m"})):
        assert not {"\x1b", "\x9b"} & set(log_view.render("redis", line, colour=None))


def test_lines_are_whole_and_none_is_lost(tmp_path: Path) -> None:
    """A line that is being written is shown when it is finished, also after the log was emptied."""
    path = tmp_path / "a.log"
    follower = log_view.Follower([("a", path)], from_start=True)
    assert [] == list(follower.lines())
    path.write_text("one\ntw")
    assert [("a", "one")] == list(follower.lines())
    with path.open("a") as stream:
        stream.write("o\n")
    assert [("a", "two")] == list(follower.lines())
    path.write_text("3\n")
    assert [("a", "3")] == list(follower.lines())


def test_a_log_is_bounded(tmp_path: Path, monkeypatch) -> None:
    """One that has grown too large is moved aside; its writer goes on."""
    monkeypatch.setattr(log_view, "LOG_BYTES_MAX", 10)
    path = tmp_path / "a.log"
    with path.open("a") as writer:
        writer.write("x" * 20)
        writer.flush()
        log_view.trim(path)
        writer.write("new\n")
    assert ("new\n", "x" * 20) == (path.read_text(), (tmp_path / "a.log.1").read_text())
