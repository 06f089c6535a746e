"""The Vault of the tests is a real one: TLS, sealed when it starts again, every request audited."""

import json
import time

import hvac
import pytest
import requests

from tests.vault.server import vault_server


@pytest.fixture
def own(vault_program, tmp_path):
    with vault_server(tmp_path) as server:
        yield server


def test_it_keeps_what_it_stored_and_starts_sealed(own):
    """After a stop, a kill and a seal the same keys are there, once it is unsealed."""
    own.root().sys.enable_secrets_engine("transit")
    own.root().secrets.transit.create_key("k")
    own.stop()
    with pytest.raises(requests.ConnectionError):
        own.is_sealed()
    own.start(unseal=False)
    assert own.is_sealed()
    own.unseal()
    own.kill()
    own.start()
    assert "k" == own.root().secrets.transit.read_key("k")["data"]["name"]
    own.seal()
    assert own.is_sealed()
    with pytest.raises(hvac.exceptions.VaultDown):
        own.root().secrets.transit.read_key("k")


def test_a_pause_is_a_server_that_does_not_answer(own):
    """While it is paused a connection is taken and no answer comes; afterwards it does."""
    own.pause()
    began = time.monotonic()
    client = own.client()
    client.adapter._kwargs["timeout"] = 0.3
    with pytest.raises(requests.Timeout):
        client.sys.read_seal_status()
    assert time.monotonic() - began < 5
    own.resume()
    assert not own.is_sealed()


def test_both_audit_devices_have_every_request(vault):
    """What is asked stands in both files, its token only as an HMAC."""
    vault.root().sys.list_auth_methods()
    for path in vault.audit_files:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert "sys/auth" in {line["request"]["path"] for line in lines}
        assert vault.root_token not in path.read_text()


def test_a_stranger_is_not_believed(vault):
    """Without the test's authority no connection is made: TLS is on, and checked."""
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{vault.address}/v1/sys/health", timeout=5)
