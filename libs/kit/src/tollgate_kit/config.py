"""One TOML file per process, read into frozen dataclasses; every fault listed at once.

A field of type Secret named `dsn` is given in the file as `dsn_file`, a path: secrets never
stand in a configuration file; their files are read anew at each use. Relative paths are relative
to the file. A dataclass may refuse its values in __post_init__ by raising ValueError.
"""

import dataclasses
import sys
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tollgate_kit.secret import Secret, SecretInFile

C = TypeVar("C")


class ConfigFaults(Exception):  # noqa: N818 - a list of faults, not one error
    """Everything that is wrong with a configuration file."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {fault}" for fault in faults))
        self.faults = faults


@dataclasses.dataclass(frozen=True)
class TlsConfig:
    """Files of this process's identity, PEM."""

    ca: Path
    cert: Path
    key: Path


@dataclasses.dataclass(frozen=True)
class RpcConfig:
    """The gRPC listener, and who may call which service; a service not named refuses everybody."""

    listen: str
    tls: TlsConfig
    allow: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        check_listen(self.listen)


@dataclasses.dataclass(frozen=True)
class PeerConfig:
    """Another service: the addresses of its replicas and the identity their certificates carry."""

    addresses: tuple[str, ...]
    identity: str
    timeout_ms: int = 5000

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError("addresses must name at least one host:port")
        for address in self.addresses:
            check_listen(address)


@dataclasses.dataclass(frozen=True)
class PostgresConfig:
    """The store of this service. `dsn_file` holds a libpq connection string."""

    dsn: Secret
    pool_min: int = 1
    pool_max: int = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaultLoginConfig:
    """One AppRole: its name, and the files that hold its two ids.

    The secret-id comes wrapped, for one use; without `is_wrapped` the file, which nobody else can
    read, is the secret-id itself.
    """

    role: str
    role_id_file: Path
    secret_id_file: Path
    is_wrapped: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaultConfig(VaultLoginConfig):
    """Vault as a keyring: where it is, who this process is there, and what is mounted where."""

    address: str
    ca_file: Path
    transit: str = "transit"
    approle: str = "approle"
    # Who encrypts, where that is another than who decrypts.
    writer: VaultLoginConfig | None = None
    # The keys for HMAC, each wrapped by transit: name -> file of its ciphertext.
    wrapped: dict[str, Path] = dataclasses.field(default_factory=dict)
    # The version with which a key signs; one that is not named: the newest at the start.
    key_versions: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.address.startswith("https://"):
            raise ValueError("address must begin with https://")
        if self.writer is not None and self.writer.secret_id_file == self.secret_id_file:
            raise ValueError("writer must have a secret_id_file of its own: each is used up")


@dataclasses.dataclass(frozen=True)
class KeyringConfig:
    """The file keyring and the 0400 file that unlocks it, or Vault."""

    path: Path | None = None
    unlock_file: Path | None = None
    vault: VaultConfig | None = None
    # The versions of a key for HMAC, or of the log's, that are in use: two while it is rotated.
    versions: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def versions_of(self, name: str) -> tuple[int, ...]:
        """The versions of a key that are in use."""
        return self.versions.get(name, (1,))

    def __post_init__(self) -> None:
        for name, versions in self.versions.items():
            if not versions or min(versions) < 1:
                raise ValueError(f"versions.{name} must hold at least one, each 1 or more")
        if self.vault is None:
            names = ("path", "unlock_file")
            missing = [name for name in names if getattr(self, name) is None]
            if len(missing) == len(names):
                raise ValueError("neither path with unlock_file nor the table vault is there")
            if missing:
                raise ValueError(f"{missing[0]} is missing: a file has both, or there is vault")
        elif self.path is not None or self.unlock_file is not None:
            raise ValueError(
                "path and unlock_file are a file's, vault is another keyring: not both"
            )


@dataclasses.dataclass(frozen=True)
class MetricsConfig:
    """Where GET /metrics is served, apart from every other listener."""

    listen: str

    def __post_init__(self) -> None:
        check_listen(self.listen)


def check_listen(address: str) -> None:
    """Raise ValueError unless address is host:port."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - TCP's range
        raise ValueError(f"{address!r} is not host:port")


def load(path: Path, cls: type[C]) -> C:
    """The configuration in a file. Raises ConfigFaults with everything that is wrong."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigFaults(path, [str(error)]) from None
    faults: list[str] = []
    value = _read_dataclass(cls, document, "", path.parent, faults)
    if faults:
        raise ConfigFaults(path, faults)
    return typing.cast("C", value)


def load_or_exit(path: Path, cls: type[C]) -> C:
    """As load; but prints every fault and exits with 2."""
    try:
        return load(path, cls)
    except ConfigFaults as faults:
        _exit(str(faults))


def _exit(message: str) -> NoReturn:
    print(message, file=sys.stderr)  # noqa: T201 - the operator's terminal
    raise SystemExit(2)


def _read_dataclass(
    cls: type[Any], table: dict[str, Any], at: str, base: Path, faults: list[str]
) -> Any:
    hints = typing.get_type_hints(cls)
    known: set[str] = set()
    values: dict[str, Any] = {}
    before = len(faults)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        name = f"{field.name}_file" if kind is Secret else field.name
        known.add(name)
        if name in table:
            values[field.name] = _read(kind, table[name], f"{at}{name}", base, faults)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(f"{at}{name} is missing")
    faults.extend(f"{at}{name} is not a setting" for name in table if name not in known)
    if len(faults) > before:
        return None
    try:
        return cls(**values)
    except ValueError as error:
        faults.append(f"{at.rstrip('.') or 'file'}: {error}")
        return None


def _read(kind: Any, value: Any, at: str, base: Path, faults: list[str]) -> Any:  # noqa: PLR0911 - one arm a type
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        (kind,) = (arm for arm in typing.get_args(kind) if arm is not type(None))
        return _read(kind, value, at, base, faults)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _read_dataclass(typing.cast("type[Any]", kind), value, f"{at}.", base, faults)
    if kind is Secret and isinstance(value, str):
        return _read_secret(base / value, at, faults)
    if kind is Path and isinstance(value, str):
        return base / value
    if origin is tuple and isinstance(value, list):
        item = typing.get_args(kind)[0]
        return tuple(_read(item, v, f"{at}[{n}]", base, faults) for n, v in enumerate(value))
    if origin is dict and isinstance(value, dict):
        item = typing.get_args(kind)[1]
        return {k: _read(item, v, f"{at}.{k}", base, faults) for k, v in value.items()}
    if kind in (str, int, bool) and type(value) is kind:
        return value
    expected = getattr(kind, "__name__", str(kind))
    faults.append(f"{at} must be {expected}, not {type(value).__name__}")
    return None


def _read_secret(path: Path, at: str, faults: list[str]) -> Secret | None:
    try:
        return SecretInFile(path)
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{at}: {path.name} cannot be read ({type(error).__name__})")
        return None
