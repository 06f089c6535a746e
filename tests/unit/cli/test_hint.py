"""Commands in hints are spelled as the person who reads them must type them."""

from pathlib import Path

import pytest

from tollgate_cli import hint


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
    wanted = spelled.replace("{bin}", place)
    assert f"`{wanted} up`, or: {wanted} key list" == hint.typed(
        "`tollgate up`, or: tollgate key list"
    )
    for other in ("tollgate: starting", "run tollgate as an ordinary user", "tollgate-verify up"):
        assert other == hint.typed(other)
