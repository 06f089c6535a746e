from dataclasses import dataclass
from pathlib import Path

import pytest

from tollgate_kit import config
from tollgate_kit.secret import Secret


@dataclass(frozen=True)
class Part:
    """A nested section."""

    listen: str
    names: tuple[str, ...]
    count: int = 3

    def __post_init__(self) -> None:
        config.check_listen(self.listen)


@dataclass(frozen=True)
class Whole:
    """A file."""

    part: Part
    token: Secret
    allow: dict[str, tuple[str, ...]]
    place: Path = Path("x")
    on: bool = False


def _load(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    return config.load(path, Whole)


def test_a_good_file_becomes_frozen_values(tmp_path):
    """Nested sections, tuples, defaults, secrets by file and paths relative to the file are read."""
    (tmp_path / "t").write_text("s3cret\n")
    whole = _load(
        tmp_path,
        'token_file = "t"\nplace = "d"\n[part]\nlisten = "127.0.0.1:1"\nnames = ["a", "b"]\n'
        '[allow]\n"x.Y" = ["edge-api"]\n',
    )
    assert Part("127.0.0.1:1", ("a", "b"), 3) == whole.part
    assert (Secret("s3cret"), tmp_path / "d") == (whole.token, whole.place)
    assert {"x.Y": ("edge-api",)} == whole.allow


def test_every_fault_is_listed_at_once(tmp_path):
    """One start shows all that is wrong: unknown, missing, mistyped, unreadable, refused."""
    with pytest.raises(config.ConfigFaults) as caught:
        _load(
            tmp_path,
            'token_file = "absent"\non = 1\nsurplus = 2\n[part]\nlisten = "nonsense"\nnames = [1]\n',
        )
    text = str(caught.value)
    for fault in (
        "token_file: absent cannot be read",
        "on must be bool, not int",
        "surplus is not a setting",
        "part.names[0] must be str, not int",
        "allow is missing",
    ):
        assert fault in text


def test_a_refusal_of_a_section_is_a_fault_with_its_place(tmp_path):
    """What __post_init__ refuses is reported under the section's name."""
    (tmp_path / "t").write_text("x")
    with pytest.raises(config.ConfigFaults, match="part: 'nonsense' is not host:port"):
        _load(tmp_path, 'token_file = "t"\n[allow]\n[part]\nlisten = "nonsense"\nnames = []\n')


def test_bad_configuration_exits_with_2_and_says_why(tmp_path, capsys):
    """A process with a bad file does not start; the operator reads every fault."""
    path = tmp_path / "c.toml"
    path.write_text("= broken")
    with pytest.raises(SystemExit) as caught:
        config.load_or_exit(path, Whole)
    assert caught.value.code == 2
    assert str(path) in capsys.readouterr().err


VAULT = """
address = "https://vault.example:8200"
ca_file = "ca.pem"
role = "tollgate-router"
role_id_file = "role-id"
secret_id_file = "secret-id"
"""
WRITER = """
[writer]
role = "tollgate-router-admin"
role_id_file = "writer.role-id"
secret_id_file = "writer.secret-id"
[wrapped]
reservation = "reservation.wrapped"
"""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "neither path with unlock_file nor the table vault is there"),
        ('path = "a"', "unlock_file is missing: a file has both, or there is vault"),
        ('unlock_file = "a"', "path is missing: a file has both, or there is vault"),
        (
            f'path = "a"\nunlock_file = "b"\n[vault]{VAULT}',
            "path and unlock_file are a file's, vault is another keyring: not both",
        ),
        (f"[vault]{VAULT}".replace("https", "http"), "vault: address must begin with https://"),
        ("[vault]", "vault.role is missing"),
        (
            f"[vault]{VAULT}{WRITER.replace('[', '[vault.').replace('writer.secret', 'secret')}",
            "vault: writer must have a secret_id_file of its own: each is used up",
        ),
    ],
)
def test_a_keyring_is_a_file_or_vault(tmp_path, text, fault):
    """Exactly one, wholly told; what is wrong is said before anything is opened."""
    path = tmp_path / "keyring.toml"
    path.write_text(text)
    with pytest.raises(config.ConfigFaults) as caught:
        config.load(path, config.KeyringConfig)
    assert fault in str(caught.value)


def test_a_vault_of_a_file_has_its_paths_beside_it(tmp_path):
    """Every file that is named is relative to the configuration's own place."""
    path = tmp_path / "keyring.toml"
    path.write_text(f"[vault]{VAULT}{WRITER.replace('[', '[vault.')}")
    vault = config.load(path, config.KeyringConfig).vault
    assert (tmp_path / "secret-id", True, "transit") == (
        vault.secret_id_file,
        vault.is_wrapped,
        vault.transit,
    )
    assert (tmp_path / "writer.role-id", "tollgate-router-admin") == (
        vault.writer.role_id_file,
        vault.writer.role,
    )
    assert {"reservation": tmp_path / "reservation.wrapped"} == vault.wrapped
