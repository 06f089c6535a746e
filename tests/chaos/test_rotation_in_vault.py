"""What test_rotation.py tries with files, where keys are in Vault: 200 calls a second, none fails.

An operator's token with deploy/vault's policy is all that the commands are given.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hvac
import pytest

from tests.chaos import test_rotation
from tests.chaos.cut_short import commands
from tests.chaos.test_rotation import calls, key, model, well
from tests.integration.trust.test_routes import execute, refused, reserve
from tests.live import Key, Live, own_suite
from tests.vault.server import VaultServer, vault_server
from tests.vault.setup import set_up
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2
from tollgate_cli import keyrings
from tollgate_cli.chosen_keyring import VAULT, Chosen
from tollgate_cli.suite import vault_logins
from tollgate_cli.suite.vault_logins import VaultLogins
from tollgate_cli.vault import delivery, key_moves, wanted
from tollgate_kit.hmac_key import HmacKey
from tollgate_kit.secret import Secret
from tollgate_tlog import checkpoint, note

__all__ = ["key", "model"]
TREE = Path(__file__).parents[2]
OPERATOR = TREE / "deploy" / "vault" / "operator.hcl"


@pytest.fixture(scope="module")
def vault(vault_program, tmp_path_factory) -> Iterator[VaultServer]:
    """A server of this module's own: keys of it are rotated."""
    with vault_server(tmp_path_factory.mktemp("vault")) as server:
        set_up(server)
        yield server


@pytest.fixture(scope="module")
def own(vault: VaultServer, tmp_path_factory) -> Iterator[Live]:
    there = Chosen(VAULT, vault.address, str(vault.ca_file), wanted.MOUNT)
    logins = VaultLogins(there, Secret(vault.root_token))
    with own_suite(tmp_path_factory.mktemp("rotation"), vault=logins) as live:
        yield live


@pytest.fixture(scope="module")
def token_file(vault: VaultServer, tmp_path_factory) -> Path:
    """An operator's token."""
    vault.root().sys.create_or_update_policy("tollgate-operator", OPERATOR.read_text())
    made = vault.root().auth.token.create(policies=["tollgate-operator"], ttl="1h")
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(made["auth"]["client_token"])
    path.chmod(0o400)
    return path


@pytest.fixture
def rotated(own: Live, token_file: Path):
    """Carries out a rotation, which must end well."""

    def rotate(*arguments: str) -> str:
        return test_rotation.rotated(own, *arguments, "--vault-token-file", str(token_file))

    return rotate


@pytest.fixture
def cut_short(own: Live, token_file: Path) -> Iterator[Callable[..., None]]:
    """The command, ended by kill -9 after so many steps."""

    environment = {"TOLLGATE_HOME": str(own.suite.home.root), "PATH": "/usr/bin:/bin"}
    with commands() as command:

        def run(after: int, *arguments: str) -> None:
            told = ("rotate", *arguments, "--vault-token-file", str(token_file))
            done = command.run(*told, environment=environment, cut_after=after)
            assert -signal.SIGKILL == done.returncode, (after, done.stdout, done.stderr)

        yield run


def versions(own: Live, service: str) -> dict[str, list[int]]:
    return keyrings.versions_in_vault(own.suite.home.keyrings, service)


def test_reservation_key(own, vault, key, model, rotated):
    """Router takes both while calls of the old one go on; then the old one proves nothing."""
    wrapped = keyrings.wrapped_file(own.suite.home.keyrings, "reservation", 1).read_text().strip()
    old = key_moves.unwrapped(vault.root(), wanted.MOUNT, "reservation", wrapped)
    with calls(own, key, model):
        said = rotated("reservation")
    assert "deleted: version 1" in said
    for service in ("router", "budget"):
        assert {"reservation": [2]} == versions(own, service)
    granted = reserve(own, key, model)
    forged = budget_pb2.ReservationToken.FromString(granted)
    forged.mac = HmacKey(old.reveal_bytes()).digest(forged.claims)
    refused(own, key, model, forged.SerializeToString())
    assert execute(own, key, model, granted)[-1].end.reason == router_pb2.END_REASON_COMPLETED


def test_pepper(own, key, model, rotated):
    """Keys that are there go on under theirs; the old one goes when they were issued anew."""
    with calls(own, key, model):
        rotated("pepper")
        issued = own.key(own.tenant(10_000), requests_per_minute=1_000_000)
        well(own, issued, model)
    with own.database("authz") as connection:
        query = "select key_id, pepper_version from virtual_key where state <> 'revoked'"
        under = dict(connection.execute(query).fetchall())
    assert (1, 2) == (under[key.key_id], under[issued.key_id])
    for key_id in (one for one, version in under.items() if version == 1):
        own.revoke(Key(key_id, "", ""))
    with calls(own, issued, model):
        rotated("pepper", "--finish")
    assert {"pepper": [2]} == versions(own, "authz")
    assert own.call(key, model).status_code == 401


def restarted(own: Live, vault: VaultServer) -> None:
    """Audit, killed and started as its configuration says now."""
    home = own.suite.home
    out = vault_logins.secret_id_file(home, "audit")
    delivery.deliver(vault.root(), "audit", out, ttl_s=120)
    own.suite.kill("audit")
    own.suite.start_one("audit")


@pytest.mark.timeout(200)
def test_log_key(own, vault, key, model, rotated, cut_short):
    """Both versions sign, then the new one alone, and Vault signs with the old one no more.

    Cut short after any of its steps, audit starts with what signed so far, and verifiers with the
    old line refuse nothing before --finish.
    """
    home = own.suite.home
    (old,) = home.verifier_key.read_text().split()
    for after in (1, 2, 3, 3):
        cut_short(after, "log-key")
    restarted(own, vault)
    assert own.cli("audit", "verify", "--key", old).returncode == 0
    with calls(own, key, model):
        said = rotated("log-key")
    new, former = home.verifier_key.read_text().split()
    assert (former, True) == (old, new in said)
    assert {"tlog": [1, 2]} == versions(own, "audit")
    restarted(own, vault)
    assert own.cli("audit", "verify", "--key", old).returncode == 0
    with calls(own, key, model):
        rotated("log-key", "--finish")
    assert {"tlog": [2]} == versions(own, "audit")
    assert [new, old] == home.verifier_key.read_text().split()
    done = own.cli("audit", "verify")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert own.cli("audit", "verify", "--key", old).returncode == 1
    newest = note.parse((home.worm / checkpoint.LATEST_PATH).read_bytes())
    assert {note.parse_key(new).key_id} == {line.key_id for line in newest.signatures}
    with pytest.raises(hvac.exceptions.VaultError, match="less than the minimum"):
        vault.root().secrets.transit.sign_data("tlog", "eA==", key_version=1)
    restarted(own, vault)
    well(own, key, model)
