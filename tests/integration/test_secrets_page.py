"""docs/secrets.md says what is true of a running suite, and leaves no secret out."""

import json
import re
from pathlib import Path

import pytest

from tests.live import Live
from tollgate_cli import keyrings
from tollgate_cli.deployment import topology_file
from tollgate_cli.vault import wanted

PAGE = Path(__file__).parents[2] / "docs/secrets.md"
FOLDERS = ("secrets", "keyrings", "certificates", "redis")
# What is made of an identity's name, and what is no secret.
IDENTITY = re.compile(r"certificates/(?P<name>.+?)(-key)?\.pem")
NAMED_KEY = re.compile(r"`keyrings/(\w+)\.json`(?: and `keyrings/(\w+)\.json`)?: `([\w-]+)`")


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table."""
    text = PAGE.read_text("utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


ROTATED = rows("Rotated while calls go on")
OTHERS = rows("Not without a restart, or not yet")


@pytest.mark.parametrize("row", ROTATED + OTHERS, ids=lambda row: row[0])
def test_what_a_row_says_is_there(live: Live, row: list[str]):
    """Its files are there and nobody else reads them; who opens it is an identity of ours."""
    _, where, who = row[:3]
    for path in re.findall(r"`([\w-]+/[\w.-]+)`", where):
        file = live.suite.home.root / path
        assert file.is_file(), path
        # A certificate is for everybody, its key is not.
        is_public = file.suffix == ".pem" and not file.stem.endswith("-key")
        assert is_public or file.stat().st_mode & 0o077 == 0, path
    for one, other, name in NAMED_KEY.findall(where):
        for service in filter(None, (one, other)):
            stored = json.loads((live.suite.home.keyrings / f"{service}.json").read_text())
            assert name in stored["keys"]
            assert f"`{service}`" in who
    known = {*topology_file.packaged().identities, "tollgate", "tollgate up"}
    assert set(re.findall(r"`([^`]+)`", who)) <= known
    if table := re.search(r"table `(\w+)`", where):
        with live.database("router") as connection:
            assert connection.execute(f"select count(*) from {table[1]}").fetchone()


@pytest.mark.parametrize("row", ROTATED + OTHERS, ids=lambda row: row[0])
def test_a_rows_command_exists(live: Live, row: list[str]):
    """Each command that rotates it is known to the command line, with its options."""
    commands = re.findall(r"`tollgate ([^`]+)`", row[3])
    assert commands or "no command" in row[3]
    for command in commands:
        *words, last = command.split()
        asked = live.cli(*(words if last.startswith("--") else [*words, last]), "--help")
        assert asked.returncode == 0, command
        assert not last.startswith("--") or last in asked.stdout


def test_no_file_of_a_secret_is_left_out(live: Live):
    """Each file where the suite keeps secrets is named by a row, or is an identity's."""
    text = "\n".join(row[1] for row in ROTATED + OTHERS)
    identities = topology_file.packaged().identities
    for folder in FOLDERS:
        for file in sorted((live.suite.home.root / folder).iterdir()):
            path = f"{folder}/{file.name}"
            owned = IDENTITY.fullmatch(path)
            is_an_identitys = owned is not None and owned["name"] in identities
            assert is_an_identitys or f"`{path}`" in text, path


def test_no_key_is_left_out():
    """Each key of a keyring has a row, and each key that Vault must hold has one of its own."""
    told = {found[2] for row in ROTATED + OTHERS for found in NAMED_KEY.findall(row[1])}
    assert {name for keys in keyrings.KEYS.values() for name in keys} == told
    in_vault = {row[0].strip("`"): row for row in rows("In Vault")}
    assert {key.name for key in wanted.KEYS} == in_vault.keys()
    for key in wanted.KEYS:
        is_told = in_vault[key.name][2].startswith("by Vault, every 30 days")
        assert is_told == bool(key.rotated_every_s)
        assert set(re.findall(r"`([\w-]+)`", in_vault[key.name][1])) <= set(wanted.SERVICES)
