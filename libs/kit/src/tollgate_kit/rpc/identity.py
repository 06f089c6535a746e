"""A process's certificate and key, taken anew from their files for new connections.

Promises: a certificate without its own key is never shown, so that files that are replaced one
after the other fail no handshake; connections that stand go on with what they began with.
"""

import threading

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from tollgate_kit.config import TlsConfig


class Identity:
    """The files of one identity. Safe to be asked by gRPC's own threads."""

    def __init__(self, tls: TlsConfig) -> None:
        """Raises OSError for a file that cannot be read."""
        self._tls = tls
        self._lock = threading.Lock()
        self._written = self._stamp()
        self._pem = self._read()

    def is_new(self) -> bool:
        """Whether the files hold another certificate than the last time they were asked for."""
        with self._lock:
            before = self._pem
            self._look()
            return self._pem != before

    def for_channel(self) -> grpc.ChannelCredentials:
        """What a new channel shows."""
        with self._lock:
            self._look()
            ca, cert, key = self._pem
        return grpc.ssl_channel_credentials(ca, key, cert)

    def for_server(self) -> grpc.ServerCredentials:
        """What a server shows in each handshake: what the files hold then."""
        return grpc.dynamic_ssl_server_credentials(
            self._shown(),
            self._handshake,  # type: ignore[arg-type]  # None is in its contract, not in its stubs
            require_client_authentication=True,
        )

    def _handshake(self) -> grpc.ServerCertificateConfiguration | None:
        """None: as before."""
        return self._shown() if self.is_new() else None

    def _shown(self) -> grpc.ServerCertificateConfiguration:
        ca, cert, key = self._pem
        return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=ca)

    def _look(self) -> None:
        """Take over what the files hold, if it is whole."""
        try:
            written = self._stamp()
            if written == self._written:
                return
            found = self._read()
        except OSError:
            return
        if _are_one(found[1], found[2]):
            self._written, self._pem = written, found

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        """Tells files that were written from files that were not."""
        found = (self._tls.ca.stat(), self._tls.cert.stat(), self._tls.key.stat())
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in found)

    def _read(self) -> tuple[bytes, bytes, bytes]:
        tls = self._tls
        return tls.ca.read_bytes(), tls.cert.read_bytes(), tls.key.read_bytes()


def _are_one(cert: bytes, key: bytes) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(cert)
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return certificate.public_key() == private.public_key()
