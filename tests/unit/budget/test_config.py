"""What budget refuses to start on: a configuration that cannot be."""

from pathlib import Path

import pytest

from tollgate_budget.config import BudgetConfig, LedgerConfig
from tollgate_kit.config import load


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
