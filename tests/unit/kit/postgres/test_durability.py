"""What no service works on: a database that may forget what it acknowledged."""

import pytest

from tollgate_kit.postgres.durability import NotDurable, faults

SAFE = {
    "fsync": "on",
    "full_page_writes": "on",
    "data_checksums": "on",
    "synchronous_commit": "on",
    "wal_sync_method": "fdatasync",
    "synchronous_standby_names": "",
    "transaction_read_only": "off",
    "in_recovery": "false",
    "server_version_num": "180004",
}


def test_safe_settings_have_no_faults():
    """A primary that keeps what it acknowledges; with standbys where they are demanded."""
    assert [] == faults(SAFE, standby_required=False)
    strict = {
        **SAFE,
        "synchronous_commit": "remote_apply",
        "synchronous_standby_names": "any 1 (b)",
    }
    assert [] == faults(strict, standby_required=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("data_checksums", "off"),
        ("synchronous_commit", "off"),
        ("synchronous_commit", "local"),
        ("synchronous_commit", "remote_write"),
        ("wal_sync_method", "none"),
        ("transaction_read_only", "on"),
        ("in_recovery", "true"),
        ("server_version_num", "130000"),
    ],
)
def test_each_unsafe_setting_is_a_fault(name, value):
    """One is enough; one that is not told at all, too."""
    assert 1 == len(faults({**SAFE, name: value}, standby_required=False))


def test_all_faults_are_listed_at_once():
    """An operator fixes them in one go."""
    assert 9 == len(faults({}, standby_required=True))


def test_the_failure_says_all_of_it():
    """Whoever reads the line that a process ended with knows every setting to change."""
    found = faults({**SAFE, "fsync": "off", "in_recovery": "true"}, standby_required=False)
    assert (
        "Postgres is not durable: fsync is 'off', must be on; this server is a standby, not the primary"
    ) == str(NotDurable(found))
