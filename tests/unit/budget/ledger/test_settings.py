"""What budget refuses to start on: a database that may forget, a configuration that cannot be."""

from pathlib import Path

import pytest

from tollgate_budget.config import BudgetConfig, LedgerConfig
from tollgate_budget.ledger.postgres_settings import faults
from tollgate_kit.config import load

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


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_steps_max": 0},
        {"queue_steps_max": 200},
        {"pace_ms": 101},
        {"sweep_ms": 1},
        {"check_ms": 0},
    ],
)
def test_bounds_that_cannot_work_are_refused(wrong):
    """No silent clamp."""
    with pytest.raises(ValueError, match="must be"):
        LedgerConfig(**wrong)


def test_the_sample_configuration_loads(tmp_path):
    """deploy/config/budget.toml names every field, and nothing else, with the defaults in it."""
    sample = Path("deploy/config/budget.toml").read_text()
    for name in ("budget-postgres-dsn", "budget-redis-url"):
        (tmp_path / "secrets").mkdir(exist_ok=True)
        (tmp_path / "secrets" / name).write_text("x")
    place = tmp_path / "config" / "budget.toml"
    place.parent.mkdir()
    place.write_text(sample)
    config = load(place, BudgetConfig)
    assert LedgerConfig() == config.ledger
    assert all(f"\n{name} = " in sample for name in LedgerConfig.__dataclass_fields__)
