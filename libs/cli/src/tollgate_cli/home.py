"""Where the embedded suite keeps its state: $TOLLGATE_HOME, by default .tollgate/ here.

Promises: everything the suite writes is below this directory; what is secret is in 0600 files
below 0700 directories.
"""

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "TOLLGATE_HOME"
_PRIVATE = ("config", "secrets", "keyrings", "certificates", "run")


@dataclass(frozen=True)
class Home:
    """The directory and the places in it."""

    root: Path

    @classmethod
    def from_environment(cls) -> "Home":
        told = os.environ.get(VARIABLE)
        return cls(Path(told).absolute()) if told else cls.usual()

    @classmethod
    def usual(cls) -> "Home":
        """Where it is when nothing is said."""
        return cls(Path(".tollgate").absolute())

    def make(self) -> None:
        """Makes the directories."""
        self.root.mkdir(parents=True, exist_ok=True)
        # Passable for others but not readable: root's PostgreSQL is another user (privilege.py).
        self.root.chmod(0o711)
        for name in _PRIVATE:
            (self.root / name).mkdir(mode=0o700, exist_ok=True)
        for name in ("logs", "worm"):
            (self.root / name).mkdir(mode=0o700, exist_ok=True)

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    def password(self, role: str) -> Path:
        """The password of a role of Postgres."""
        return self.secrets / f"{role.replace('_', '-')}-password"

    def dsn(self, role: str) -> Path:
        """The connection string of a role of Postgres."""
        return self.secrets / f"{role.replace('_', '-')}-dsn"

    @property
    def redis_url(self) -> Path:
        return self.secrets / "redis-url"

    @property
    def keyrings(self) -> Path:
        return self.root / "keyrings"

    @property
    def vault_logins(self) -> Path:
        """Role-ids, and secret-ids that were delivered, where the keyring is a Vault."""
        return self.keyrings / "vault"

    @property
    def keyring_json(self) -> Path:
        """Which keyring this home was made with (chosen_keyring)."""
        return self.root / "keyring.json"

    @property
    def certificates(self) -> Path:
        return self.root / "certificates"

    @property
    def worm(self) -> Path:
        return self.root / "worm"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def dev_json(self) -> Path:
        return self.root / "dev.json"

    @property
    def operator_toml(self) -> Path:
        return self.root / "operator.toml"

    @property
    def ports_json(self) -> Path:
        return self.root / "ports.json"

    @property
    def former_log_keys(self) -> Path:
        """The public keys of the log before its key was changed, if it was: one a line."""
        return self.root / "audit-former.vkey"

    @property
    def verifier_key(self) -> Path:
        """The public key of the log; audit writes it."""
        return self.root / "audit.vkey"

    @property
    def lock(self) -> Path:
        return self.root / "suite.lock"

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.logs / f"{name}.log"
