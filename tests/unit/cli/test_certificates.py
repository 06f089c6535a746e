"""The development CA: who may be whom, for how long, readable by whom."""

import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from tollgate_cli import certificates
from tollgate_kit.clock import ManualClock

DAY = 86_400.0
IDENTITIES = ("authz", "budget", "router", "audit", "edge-api", "operator")


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("ca") / "certificates"
    certificates.ensure(directory, IDENTITIES, ManualClock())
    return directory


@pytest.fixture
def made(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "certificates"))


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_each_identity_has_its_name_and_no_other(made: Path) -> None:
    """A certificate's one DNS name is its identity; the common name carries no authority."""
    for identity in IDENTITIES:
        certificate = load(made / f"{identity}.pem")
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [f"{identity}.tollgate.internal"] == names.get_values_for_type(x509.DNSName)
        certificate.verify_directly_issued_by(load(made / "ca.pem"))


def test_keys_are_private(made: Path) -> None:
    """No key can be read by another user."""
    for key in made.glob("*-key.pem"):
        assert 0o600 == key.stat().st_mode & 0o777


def test_an_identity_cannot_sign_another(made: Path) -> None:
    """Only the authority is an authority."""
    constraints = load(made / "authz.pem").extensions.get_extension_for_class(x509.BasicConstraints)
    assert False is constraints.value.ca


def test_a_second_start_changes_nothing(made: Path) -> None:
    """Certificates that are good stay."""
    assert [] == certificates.ensure(made, IDENTITIES, ManualClock())


def test_near_its_end_a_certificate_is_replaced_and_the_authority_stays(made: Path) -> None:
    """70 of 90 days later all leaves are new, signed by the same authority."""
    before = load(made / "ca.pem")
    clock = ManualClock()
    clock.advance(70 * DAY)
    assert [*IDENTITIES] == certificates.ensure(made, IDENTITIES, clock)
    assert before == load(made / "ca.pem")


def test_a_foreign_or_broken_certificate_is_replaced(made: Path, tmp_path: Path) -> None:
    """What this authority did not sign, and what does not fit its key, does not survive a start."""
    other = tmp_path / "other"
    certificates.ensure(other, IDENTITIES, ManualClock())
    for name in ("authz.pem", "authz-key.pem"):
        shutil.copy(other / name, made / name)
    (made / "budget.pem").write_bytes((made / "router.pem").read_bytes())
    (made / "audit.pem").write_text("nonsense")
    assert ["authz", "budget", "audit"] == certificates.ensure(made, IDENTITIES, ManualClock())


def test_a_new_authority_replaces_everything(made: Path) -> None:
    """Leaves of a lost authority are worth nothing."""
    old = load(made / "ca.pem")
    (made / "ca-key.pem").unlink()
    assert ["ca", *IDENTITIES] == certificates.ensure(made, IDENTITIES, ManualClock())
    with pytest.raises(InvalidSignature):
        load(made / "authz.pem").verify_directly_issued_by(old)


def test_another_authority_that_was_cut_short_between_its_files(made, monkeypatch) -> None:
    """The one before goes on signing, and is believed: certificates can be renewed either way."""
    write, written = certificates.write_private, []

    def cut(path: Path, content: bytes) -> None:
        if written:
            raise InterruptedError
        written.append(path)
        write(path, content)

    monkeypatch.setattr(certificates, "write_private", cut)
    with pytest.raises(InterruptedError):
        certificates.next_authority(made, ManualClock())
    monkeypatch.undo()
    certificates.renew(made, IDENTITIES, ManualClock())
    authority = certificates.load_authority(made)
    assert authority is not None
    leaf = x509.load_pem_x509_certificate((made / "authz.pem").read_bytes())
    leaf.verify_directly_issued_by(authority[0])
    believed = x509.load_pem_x509_certificates((made / "ca.pem").read_bytes())
    assert (2, True) == (len(believed), authority[0] in believed)
