"""A real Vault for tests, as it runs in production but for its size.

with vault_server() as vault:          # about 2 s; stopped and removed at the end
    client = vault.root()              # hvac, with every right
    vault.seal(); vault.unseal()
    vault.stop(); vault.start()        # the same data, sealed or not as Vault decides: unsealed

TLS, raft storage, one unseal key, two audit devices in files; never `-dev`.
"""

import contextlib
import datetime as dt
import ipaddress
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hvac
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.vault import binary
from tollgate_cli import certificates
from tollgate_cli.suite.processes.child import Child, Command
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit.clock import SystemClock

AUDIT_DEVICES = ("one", "two")
_USABLE_S = 30.0
_POLL_S = 0.03
_CONFIG = """
storage "raft" {{
  path                   = "{place}/raft"
  node_id                = "vault-1"
  performance_multiplier = "1"
}}
listener "tcp" {{
  address         = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_cert_file   = "{place}/tls/vault.pem"
  tls_key_file    = "{place}/tls/vault-key.pem"
  tls_min_version = "tls13"
}}
api_addr      = "https://127.0.0.1:{port}"
cluster_addr  = "https://127.0.0.1:{cluster_port}"
disable_mlock = true
"""


@dataclass
class VaultServer:
    """A Vault of its own; everything of it is below one directory."""

    program: Path
    directory: Path
    port: int
    process: Child
    root_token: str = ""
    unseal_key: str = ""
    _session: requests.Session = field(default_factory=requests.Session)

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.directory / "tls" / "ca.pem"

    @property
    def audit_files(self) -> list[Path]:
        """What the audit devices write: one line of JSON for each request and each answer."""
        return [self.directory / f"audit-{name}.log" for name in AUDIT_DEVICES]

    @property
    def log(self) -> Path:
        """What the server itself says."""
        return self.process.log

    def client(self, token: str = "") -> hvac.Client:
        """A client with a token, or with none."""
        # hvac takes a session's word for whom to trust before its own argument.
        self._session.verify, self._session.trust_env = str(self.ca_file), False
        client = hvac.Client(self.address, session=self._session, timeout=30)
        client.token = token
        return client

    def root(self) -> hvac.Client:
        """A client that may do everything."""
        return self.client(self.root_token)

    def is_sealed(self) -> bool:
        """Raises an error of requests when nobody answers."""
        return bool(self.client().seal_status["sealed"])

    def seal(self) -> None:
        """From now on every call is answered 503."""
        self.root().sys.seal()

    def unseal(self) -> None:
        """Makes it usable again; returns once it is."""
        self.client().sys.submit_unseal_key(self.unseal_key)
        self._until(lambda: self.root().sys.list_auth_methods() is not None)

    def stop(self) -> None:
        """Ends the process; what it stored stays."""
        self.process.stop(timeout_s=15)

    def kill(self) -> None:
        """Ends the process as a crash would."""
        self.process.kill()

    def pause(self) -> None:
        """From now on it takes connections and answers nothing."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends a pause."""
        self.process.signal(signal.SIGCONT)

    def start(self, *, unseal: bool = True) -> None:
        """Starts it after `stop` or `kill`: same port, same data."""
        self.process = _spawn(self.program, self.directory)
        self._until(self.client().sys.is_initialized)
        if unseal:
            self.unseal()

    def close(self) -> None:
        """Ends everything of it."""
        self.resume()
        self.stop()
        self._session.close()

    def initialise(self) -> None:
        """Makes it usable for the first time."""
        self._until(lambda: self.client().sys.is_initialized() is False)
        made = self.client().sys.initialize(secret_shares=1, secret_threshold=1)
        self.root_token, self.unseal_key = made["root_token"], made["keys"][0]
        self.unseal()
        for name, path in zip(AUDIT_DEVICES, self.audit_files, strict=True):
            self.root().sys.enable_audit_device("file", path=name, options={"file_path": str(path)})

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _USABLE_S
        while time.monotonic() < deadline and self.process.exit_code() is None:
            with contextlib.suppress(requests.RequestException, hvac.exceptions.VaultError):
                if holds():
                    return
            time.sleep(_POLL_S)
        raise AssertionError("Vault is not usable:\n" + "\n".join(self.process.log_tail()))


@contextlib.contextmanager
def vault_server(
    parent: Path | None = None, *, say: binary.Say = lambda _: None
) -> Iterator[VaultServer]:
    """A Vault in a new directory below `parent` (else a temporary one), initialised and unsealed.

    Builds the program when there is none yet (minutes); `say` hears how far it is.
    """
    program = binary.program(say)
    directory = Path(tempfile.mkdtemp(prefix="tollgate-vault-", dir=parent))
    try:
        port = free_port()
        (directory / "raft").mkdir(mode=0o700)
        _make_certificate(directory / "tls")
        (directory / "vault.hcl").write_text(
            _CONFIG.format(place=directory, port=port, cluster_port=free_port())
        )
        server = VaultServer(program, directory, port, _spawn(program, directory))
        try:
            server.initialise()
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _spawn(program: Path, directory: Path) -> Child:
    argv = (str(program), "server", f"-config={directory / 'vault.hcl'}")
    # It would read a proxy, an address or a token that is meant for its command line.
    environment = {"VAULT_ADDR": "", "VAULT_TOKEN": "", "VAULT_NAMESPACE": ""}
    return Child("vault", Command(argv, directory / "vault.log", environment=environment))


def _make_certificate(place: Path) -> None:
    """An authority of its own, and a certificate for the loopback address."""
    certificates.ensure(place, (), SystemClock())
    authority = certificates.load_authority(place)
    assert authority is not None
    now = dt.datetime.fromtimestamp(SystemClock().unix_ms() / 1000, dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    begin, end = now - dt.timedelta(days=1), now + dt.timedelta(days=2)
    names = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName("localhost"),
        x509.DNSName("vault" + certificates.SUFFIX),
    ]
    certificate = (
        certificates._builder("vault", key.public_key(), begin, end)
        .issuer_name(authority[0].subject)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority[1].public_key()),
            critical=False,
        )
        .sign(authority[1], hashes.SHA256())
    )
    certificates._save(place / "vault.pem", place / "vault-key.pem", certificate, key)
