"""What the documentation shows works as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.live import Live

ROOT = Path(__file__).parents[2]


def test_the_grpc_examples_run(live: Live):
    """docs/grpc.md: the governed call by hand and the session, run as they stand."""
    code = "\n".join(
        re.findall(r"```python\n(.*?)```", (ROOT / "docs/grpc.md").read_text(), re.DOTALL)
    )
    tenant, model = live.tenant(), live.model("demo-gpt")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TOLLGATE_HOME": str(live.suite.home.root), "TENANT_ID": tenant, "MODEL": model},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "log index" in done.stdout
    assert "SETTLEMENT_STATE_NOT_FOUND" in done.stdout
    account = live.settled(f"tenant:{tenant}")
    assert account.posted_nano_usd > 0


def test_readme_names_only_commands_that_exist(live: Live):
    """Every `tollgate …` command of the README is known to the command line."""
    text = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"\.venv/bin/tollgate (\w+ \w+)", text))
    assert len(commands) >= 5
    for command in commands:
        assert 0 == live.cli(*command.split(), "--help").returncode, command
