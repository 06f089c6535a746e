"""Commands in hints are spelled as the person who reads them must type them."""

from pathlib import Path

import pytest
from typer.main import get_command

from tollgate_cli import hint
from tollgate_cli.application import app


@pytest.mark.parametrize(
    ("called", "path", "spelled"),
    [
        (".venv/bin/tollgate", "/usr/bin", ".venv/bin/tollgate"),
        ("{bin}/tollgate", "{bin}", "tollgate"),
        ("{bin}/tollgate", "/nowhere", "{bin}/tollgate"),
        ("/x/tollgate_cli/main.py", "/usr/bin", "tollgate"),
        ("with blank/tollgate", "/usr/bin", "'with blank/tollgate'"),
    ],
)
def test_a_hint_has_the_way_the_program_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, path: str, spelled: str
) -> None:
    """Found on the PATH it is its name; else as it was typed; only commands are rewritten."""
    program = tmp_path / "tollgate"
    program.write_text("")
    program.chmod(0o755)
    place = str(tmp_path)
    monkeypatch.setattr("sys.argv", [called.replace("{bin}", place)])
    monkeypatch.setenv("PATH", path.replace("{bin}", place))
    monkeypatch.delenv("TOLLGATE_HOME", raising=False)
    wanted = spelled.replace("{bin}", place)
    assert f"`{wanted} up`, or: {wanted} key list" == hint.typed(
        "`tollgate up`, or: tollgate key list"
    )
    for other in ("tollgate: starting", "run tollgate as an ordinary user", "tollgate-verify up"):
        assert other == hint.typed(other)


@pytest.mark.parametrize(
    ("home", "prefix"),
    [
        ("/srv/tollgate", "TOLLGATE_HOME=/srv/tollgate "),
        ("/with blank", "TOLLGATE_HOME='/with blank' "),
        ("", ""),
        (".tollgate", ""),
    ],
)
def test_a_hint_names_the_home_that_is_not_the_usual_one(
    monkeypatch: pytest.MonkeyPatch, home: str, prefix: str
) -> None:
    """What stops the suite of another home is typed with that home, or it would not find it."""
    monkeypatch.setattr("sys.argv", ["/x/tollgate"])
    monkeypatch.setenv("TOLLGATE_HOME", home)
    assert f"Stop with `{prefix}/x/tollgate down`" == hint.typed("Stop with `tollgate down`")
    # A process that was started by `up --detach`: its parent spells what it says.
    monkeypatch.setattr("sys.argv", ["/x/tollgate_cli/main.py"])
    assert "`tollgate down`" == hint.typed("`tollgate down`")


def test_every_command_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was left out would be told so that it cannot be typed in a checkout."""
    monkeypatch.setattr("sys.argv", ["/x/tollgate"])
    monkeypatch.setenv("TOLLGATE_HOME", "")
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert len(commands) > 10
    for name in commands:
        assert f"/x/tollgate {name} x" == hint.typed(f"tollgate {name} x")
