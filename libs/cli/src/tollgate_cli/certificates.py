"""The suite's own certificate authority: one certificate for each identity.

Promises: a process proves its role by the DNS name `<identity>.tollgate.internal`; keys are 0600
files; a certificate near its end is replaced at the next start; a new authority replaces all.
Never: signs for names outside the suite.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tollgate_cli import state_file
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import write_private
from tollgate_kit.clock import Clock

SUFFIX = ".tollgate.internal"
_AUTHORITY_DAYS = 3650
_LEAF_DAYS = 90
_RENEW_DAYS = 30
_SPOILT = (OSError, ValueError, TypeError, UnsupportedAlgorithm, Fault)


@dataclass(frozen=True)
class Identity:
    """The files of one identity, PEM."""

    ca: Path
    cert: Path
    key: Path


def files(directory: Path, identity: str) -> Identity:
    """Where an identity's files are."""
    return Identity(
        directory / "ca.pem", directory / f"{identity}.pem", directory / f"{identity}-key.pem"
    )


def ensure(directory: Path, identities: Iterable[str], clock: Clock) -> list[str]:
    """Makes what is missing, broken, foreign or near its end; returns the names of what it made."""
    now = dt.datetime.fromtimestamp(clock.unix_ms() / 1000, dt.UTC)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _load(directory / "ca.pem", directory / "ca-key.pem")
    made: list[str] = []
    if authority is None or _ends_soon(authority[0], now, _LEAF_DAYS):
        authority = _new_authority(now)
        _save(directory / "ca.pem", directory / "ca-key.pem", *authority)
        made.append("ca")
    for identity in identities:
        paths = files(directory, identity)
        found = _load(paths.cert, paths.key)
        if (
            found
            and _signed_by(found[0], authority[0])
            and not _ends_soon(found[0], now, _RENEW_DAYS)
        ):
            continue
        _save(paths.cert, paths.key, *issue(identity, authority, now=now))
        made.append(identity)
    return made


def renew(directory: Path, identities: Iterable[str], clock: Clock) -> None:
    """A new key and certificate to each identity, from the authority that is there. Raises Fault.

    The key's file is written first: who finds one without the other waits for the other.
    """
    authority = load_authority(directory)
    if authority is None:
        raise Fault(f"{directory} has no certificate authority", "`tollgate up` makes one")
    now = dt.datetime.fromtimestamp(clock.unix_ms() / 1000, dt.UTC)
    for identity in identities:
        paths = files(directory, identity)
        _save(paths.cert, paths.key, *issue(identity, authority, now=now))


def next_authority(directory: Path, clock: Clock) -> None:
    """Another authority, which signs from now on; the one before is believed beside it.

    Cut short between its two files, the one before goes on signing.
    """
    now = dt.datetime.fromtimestamp(clock.unix_ms() / 1000, dt.UTC)
    before = state_file.read_bytes(directory / "ca.pem", "")
    authority = _new_authority(now)
    certificate, key = pem(*authority)
    # In this order: the key's certificate is among those that are believed, whichever key it is.
    write_private(directory / "ca.pem", certificate + before)
    (directory / "ca.pem").chmod(0o644)
    write_private(directory / "ca-key.pem", key)


def believe_one_authority(directory: Path) -> None:
    """Believe the authority alone that signs now. Raises Fault."""
    authority = load_authority(directory)
    if authority is None:
        raise Fault(f"{directory} has no certificate authority", "`tollgate up` makes one")
    _save(directory / "ca.pem", directory / "ca-key.pem", *authority)


def issue(
    identity: str,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    *,
    now: dt.datetime,
    days: int = _LEAF_DAYS,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate and its key. `days` may be negative: tests want an expired one."""
    key = ec.generate_private_key(ec.SECP256R1())
    end = now + dt.timedelta(days=days)
    begin = min(now, end) - dt.timedelta(days=1)
    builder = _builder(identity, key.public_key(), begin, end).issuer_name(authority[0].subject)
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    name = x509.SubjectAlternativeName([x509.DNSName(identity + SUFFIX)])
    builder = (
        builder.add_extension(name, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority[1].public_key()),
            critical=False,
        )
    )
    return builder.sign(authority[1], hashes.SHA256()), key


def load_authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """The authority of a directory, if it has one."""
    return _load(directory / "ca.pem", directory / "ca-key.pem")


def _new_authority(
    now: dt.datetime,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Tollgate development CA"
    begin, end = now - dt.timedelta(days=1), now + dt.timedelta(days=_AUTHORITY_DAYS)
    builder = _builder(name, key.public_key(), begin, end)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        builder.issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_usage(), critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _authority_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    name: str,
    public_key: ec.EllipticCurvePublicKey,
    begin: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _ends_soon(certificate: x509.Certificate, now: dt.datetime, days: int) -> bool:
    return certificate.not_valid_after_utc - now < dt.timedelta(days=days)


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def broken(ca: Path, cert: Path, key: Path) -> Path | None:
    """The first of an identity's files that cannot be used, if any."""
    try:
        x509.load_pem_x509_certificate(state_file.read_bytes(ca, ""))
    except _SPOILT:
        return ca
    if _load(cert, key) is not None:
        return None
    try:
        x509.load_pem_x509_certificate(state_file.read_bytes(cert, ""))
    except _SPOILT:
        return cert
    return key


def _load(cert: Path, key: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    try:
        found = x509.load_pem_x509_certificates(state_file.read_bytes(cert, ""))
        private = serialization.load_pem_private_key(state_file.read_bytes(key, ""), password=None)
    except _SPOILT:
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    # A crash between two writes may leave a certificate beside another one's key.
    public = private.public_key()
    return next(((one, private) for one in found if one.public_key() == public), None)


def pem(certificate: x509.Certificate, private: ec.EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    """A certificate and its key as PEM."""
    key = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key


def _save(
    cert: Path,
    key: Path,
    certificate: x509.Certificate,
    private: ec.EllipticCurvePrivateKey,
    *,
    also: bytes = b"",
) -> None:
    cert_pem, key_pem = pem(certificate, private)
    write_private(key, key_pem)
    write_private(cert, cert_pem + also)
    cert.chmod(0o644)
