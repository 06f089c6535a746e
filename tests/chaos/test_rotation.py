"""Every secret that can be rotated is rotated under 200 calls a second: no call fails.

And afterwards the old secret is of no use, which is tried. `-s` shows the table.
"""

import asyncio
import contextlib
import functools
import itertools
import shutil
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from tests.chaos.steady import Steady
from tests.integration.trust.test_routes import execute, refused, reserve
from tests.integration.trust.test_stores import superuser
from tests.live import Key, Live, own_suite, wait_until
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2
from tollgate_audit import subject_keys
from tollgate_cli import certificates, keyrings, private_file, service_keys
from tollgate_cli.suite.processes import probe
from tollgate_kit.config import KeyringConfig
from tollgate_kit.hmac_key import HmacKey
from tollgate_kit.keyring.base import DecryptFailed, KeyringFault
from tollgate_kit.keyring.file import FileKeyring
from tollgate_router.providers import base_url
from tollgate_router.providers.catalogue import encryption_context
from tollgate_tlog import checkpoint, note

PER_SECOND = 200
BEFORE_S, AFTER_S = 1.0, 2.5


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with own_suite(tmp_path_factory.mktemp("rotation")) as live:
        yield live


@pytest.fixture
def key(own: Live) -> Key:
    return own.key(own.tenant(10_000), requests_per_minute=1_000_000)


@pytest.fixture(scope="module")
def model(own: Live) -> str:
    return own.model("demo-gpt")


@contextlib.contextmanager
def calls(own: Live, key: Key, model: str) -> Iterator[None]:
    """Calls before, during and after the block: each must end well."""
    address = own.suite.address("edge-api")
    with Steady(address, key.text, model, per_second=PER_SECOND) as steady:
        time.sleep(BEFORE_S)
        yield
        time.sleep(AFTER_S)
    print(f"\n{sum(steady.ends.values())} calls at {steady.rate:.0f}/s: {dict(steady.ends)}")
    assert set(steady.ends) == {"200"}, steady.ends
    assert steady.rate > PER_SECOND * 0.9, f"the load was {steady.rate:.0f} calls/s"


def rotated(own: Live, *arguments: str, stdin: str = "") -> str:
    done = own.cli("rotate", *arguments, stdin=stdin)
    assert done.returncode == 0, (done.stdout, done.stderr)
    print(done.stdout.strip())
    return done.stdout


def encrypted_anew(
    own: Live, name: str, adding: Callable[[threading.Event], int], *, within_s: float
) -> int:
    """Rotate what encrypts rows while more are added until the event; how many were added."""
    ended = threading.Event()
    with ThreadPoolExecutor() as pool:
        more = pool.submit(adding, ended)
        try:
            said = rotated(own, name)
        finally:
            ended.set()
        added = more.result(timeout=within_s)
    assert "decrypts no more: version 1" in said
    return added


def well(own: Live, key: Key, model: str) -> None:
    """A call is answered within seconds."""
    wait_until(lambda: own.call(key, model).status_code == 200, 10)


def test_postgres_passwords(own, key, model):
    """Every role has another one: the old ones are refused, and new connections use the new."""
    home = own.suite.home
    roles = [path.name.removesuffix("-dsn") for path in home.secrets.glob("*-dsn")]
    old = {role: (home.secrets / f"{role}-dsn").read_text() for role in roles}
    with superuser(own) as connection:
        old["superuser"] = f"{connection.info.dsn} password={connection.info.password}"
    with calls(own, key, model):
        rotated(own, "postgres-passwords")
    assert len(old) == 6
    for dsn in old.values():
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(dsn)
    with superuser(own) as connection:
        query = "select pg_terminate_backend(pid) from pg_stat_activity where usename = any(%s)"
        assert connection.execute(query, (roles,)).rowcount >= 5
    well(own, key, model)


def test_redis_password(own, key, model):
    """Both are good until the new one stands in the files; then the old one is refused."""
    home = own.suite.home
    old = home.redis_url.read_text()
    with calls(own, key, model):
        rotated(own, "redis-password")
    assert old != home.redis_url.read_text()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(old).ping()
    with redis.Redis.from_url(home.redis_url.read_text()) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    well(own, key, model)
    own.suite.restart("redis")
    well(own, key, model)


def test_certificates(own, key, model):
    """Servers show the new one to who connects, and sessions that are made anew show it too."""
    place = own.suite.home.certificates
    old = {service: shown(own, service) for service in ("authz", "budget", "router", "audit")}
    with calls(own, key, model):
        rotated(own, "certificates")
    for service, before in old.items():
        assert before != shown(own, service) == (place / f"{service}.pem").read_text()


def test_authority(own, key, model, tmp_path):
    """Who shows what the old authority signed is refused; nobody else notices."""
    place = own.suite.home.certificates
    for name in ("ca.pem", "operator.pem", "operator-key.pem"):
        shutil.copy(place / name, tmp_path / name)
    before = certificates.files(tmp_path, "operator")
    assert probe.rpc_ready(own.suite.address("budget"), "budget", before)
    with calls(own, key, model):
        rotated(own, "certificates", "--authority")
    own.close()  # its channels are of the old one
    now = certificates.files(place, "operator")
    assert (place / "ca.pem").read_text().count("BEGIN CERTIFICATE") == 1
    for service in ("authz", "budget", "router", "audit"):
        address = own.suite.address(service)
        assert probe.rpc_ready(address, service, now)
        assert not probe.rpc_ready(address, service, before)
        # Nor is it believed by a server, whatever the client believes.
        mixed = certificates.Identity(now.ca, before.cert, before.key)
        assert not probe.rpc_ready(address, service, mixed)
    own.suite.restart("budget")
    well(own, key, model)


def test_reservation_key(own, key, model):
    """Router takes both while calls of the old one go on; then the old one proves nothing."""
    home = own.suite.home.keyrings
    old = mac_key(home, "router", "reservation")
    with calls(own, key, model):
        said = rotated(own, "reservation")
    assert "deleted: version 1" in said
    for service in ("router", "budget"):
        assert keyrings.versions(home, service) == {"reservation": [2]}
    granted = reserve(own, key, model)
    forged = budget_pb2.ReservationToken.FromString(granted)
    forged.mac = HmacKey(old).digest(forged.claims)
    refused(own, key, model, forged.SerializeToString())
    assert execute(own, key, model, granted)[-1].end.reason == router_pb2.END_REASON_COMPLETED


def test_pepper(own, key, model):
    """Keys that are there go on under theirs; the old one goes when they were issued anew."""
    home = own.suite.home.keyrings
    with calls(own, key, model):
        rotated(own, "pepper")
        issued = own.key(own.tenant(), requests_per_minute=1_000_000)
        well(own, issued, model)
    too_early = own.cli("rotate", "pepper", "--finish")
    assert too_early.returncode == 1
    assert "keys of clients are stored under an older pepper" in too_early.stderr
    with own.database("authz") as connection:
        query = "select pepper_version from virtual_key where key_id = %s"
        assert connection.execute(query, (issued.key_id,)).fetchone() == (2,)
        query = "select key_id from virtual_key where pepper_version = 1 and state <> 'revoked'"
        old = [row[0] for row in connection.execute(query)]
    for key_id in old:
        own.revoke(Key(key_id, "", ""))
    with calls(own, issued, model):
        rotated(own, "pepper", "--finish")
    assert keyrings.versions(home, "authz") == {"pepper": [2]}
    # A key of the old pepper is refused as any that is not good, and is no fault of the service.
    assert own.call(key, model).status_code == 401


def test_log_key(own, key, model):
    """Both sign, then the new one alone; the old one's thief adds nothing that verifiers accept."""
    home = own.suite.home
    (old,) = home.verifier_key.read_text().split()
    with calls(own, key, model):
        rotated(own, "log-key")
    with calls(own, key, model):
        rotated(own, "log-key", "--finish")
    assert keyrings.versions(home.keyrings, "audit") == {"tlog": [2]}
    new, former = home.verifier_key.read_text().split()
    assert former == old
    done = own.cli("audit", "verify")
    assert done.returncode == 0, (done.stdout, done.stderr)
    # Who gives the old key the first place believes it for the end of the log: it did not sign that.
    alone = own.cli("audit", "verify", "--key", old)
    assert alone.returncode == 1
    newest = note.parse((home.worm / checkpoint.LATEST_PATH).read_bytes())
    assert {note.parse_key(new).key_id} == {line.key_id for line in newest.signatures}


def test_upstream_key(own, key, model):
    """The new key is tried before the old one goes; a bad one changes nothing."""
    name = provider_of(own, model)
    (before,) = keys_of(own, name)
    bad = own.cli("rotate", "upstream-key", name, stdin="sk-of-another-house")
    assert bad.returncode == 1, bad.stdout
    assert "the new key does not work" in bad.stderr
    assert [before] == keys_of(own, name)
    with calls(own, key, model):
        rotated(own, "upstream-key", name, stdin=own.provider_key)
    (after,) = keys_of(own, name)
    assert before != after
    with own.database("router") as connection:
        query = "select count(*) from provider_key where key_id = %s"
        assert connection.execute(query, (before,)).fetchone() == (0,)


def test_upstream_keys(own, key):
    """Every row is under the new version, those that were added meanwhile too; the old one opens none."""
    model = own.model("demo-gpt")  # its provider gets more keys
    name = provider_of(own, model)
    before = stored_keys(own, name)
    with calls(own, key, model):
        adding = functools.partial(add_keys, own, name)
        added = encrypted_anew(own, "upstream-keys", adding, within_s=10)
    after = stored_keys(own, name)
    assert (True, len(before) + added) == (added > 3, len(after))
    ring = FileKeyring.open(KeyringConfig(*keyrings.files(own.suite.home.keyrings, "router")))
    for context, sealed in after.items():
        opened = asyncio.run(ring.decrypt("upstream-keys", context, sealed))
        assert (True, own.provider_key) == (sealed.startswith("tg2.2."), opened.reveal())
    for context, sealed in before.items():
        with pytest.raises(DecryptFailed):
            asyncio.run(ring.decrypt("upstream-keys", context, sealed))
    well(own, key, model)


def test_keyring_unlock(own, key, model):
    """Each keyring is unlocked by another file; the old text opens none, and a start finds its keys."""
    home = own.suite.home.keyrings
    old = {service: keyrings.files(home, service)[1].read_text() for service in service_keys.KEYS}
    with calls(own, key, model):
        rotated(own, "keyring-unlock")
    for service, text in old.items():
        path, unlock_file = keyrings.files(home, service)
        assert 0o400 == stat.S_IMODE(unlock_file.stat().st_mode)
        tried = home.parent / f"{service}.old"
        private_file.write_private(tried, text)
        with pytest.raises(KeyringFault, match="wrong passphrase"):
            FileKeyring.open(KeyringConfig(path, tried))
    own.suite.restart("router")
    well(own, key, model)


def test_subject_keys(own, key, model):
    """Those of tenants that begin meanwhile, too; pseudonyms stay, and the old version opens none."""
    own.call(key, model)
    before = pseudonym_keys(own)
    ring = FileKeyring.open(KeyringConfig(*keyrings.files(own.suite.home.keyrings, "audit")))
    keys = {tenant: asyncio.run(ring.decrypt(*found)) for tenant, found in before.items()}
    with calls(own, key, model):
        beginning = functools.partial(begin_tenants, own, model)
        begun = encrypted_anew(own, "subject-keys", beginning, within_s=30)
    ring = FileKeyring.open(KeyringConfig(*keyrings.files(own.suite.home.keyrings, "audit")))
    after = pseudonym_keys(own)
    assert begun > 2
    assert begun + len(before) == len(after)
    for tenant, found in after.items():
        opened = asyncio.run(ring.decrypt(*found))
        assert (True, opened) == (found[2].startswith("tg2.2."), keys.get(tenant, opened))
    for found in before.values():
        with pytest.raises(DecryptFailed):
            asyncio.run(ring.decrypt(*found))


def pseudonym_keys(own: Live) -> dict[str, tuple[str, str, str]]:
    """Tenant -> the name, context and ciphertext of its subject key."""
    with own.database("audit") as connection:
        found = connection.execute("select tenant_id, sealed from subject_key").fetchall()
    return {
        tenant: ("subject-keys", subject_keys.encryption_context(tenant), sealed)
        for tenant, sealed in found
    }


def begin_tenants(own: Live, model: str, ended: threading.Event) -> int:
    """Have one tenant after the other make its first call; how many."""
    for number in itertools.count(1):
        assert own.call(own.key(own.tenant()), model).status_code == 200
        if ended.wait(0.5):
            return number
    raise AssertionError


def stored_keys(own: Live, provider: str) -> dict[str, str]:
    """Context -> ciphertext of a provider's keys."""
    with own.database("router") as connection:
        found = connection.execute(
            "select tenant, key_id, base_url, sealed from provider_key"
            " join provider on name = provider where name = %s",
            (provider,),
        )
        return {
            encryption_context(tenant, key_id, base_url.parse(url, allow_private=True)): sealed
            for tenant, key_id, url, sealed in found
        }


def add_keys(own: Live, provider: str, ended: threading.Event) -> int:
    """Add one key after the other; how many."""
    for number in itertools.count():
        request = router_pb2.AddProviderKeyRequest(
            request_id=f"r-{provider}-{number}", provider=provider, secret=own.provider_key
        )
        own.router_admin.AddProviderKey(request, timeout=10)
        if ended.wait(0.5):
            return number + 1
    raise AssertionError


def shown(own: Live, service: str) -> str:
    """The certificate that a server shows in a handshake, PEM."""
    place = own.suite.home.certificates
    context = ssl.create_default_context(cafile=place / "ca.pem")
    context.load_cert_chain(place / "operator.pem", place / "operator-key.pem")
    context.set_alpn_protocols(["h2"])
    host, _, port = own.suite.address(service).rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=f"{service}.tollgate.internal") as wrapped,
    ):
        certificate = wrapped.getpeercert(binary_form=True)
    assert certificate is not None
    return ssl.DER_cert_to_PEM_cert(certificate)


def mac_key(home: Path, service: str, name: str) -> bytes:
    keyring = FileKeyring.open(KeyringConfig(*keyrings.files(home, service)))
    return asyncio.run(keyring.mac_key(name)).reveal_bytes()


def provider_of(own: Live, model: str) -> str:
    listed = own.router_admin.ListProviders(router_pb2.ListProvidersRequest(), timeout=10)
    return next(p.name for p in listed.providers if p.models[0].model == model)


def keys_of(own: Live, name: str) -> list[str]:
    listed = own.router_admin.ListProviders(router_pb2.ListProvidersRequest(), timeout=10)
    return next(list(p.key_ids) for p in listed.providers if p.name == name)
