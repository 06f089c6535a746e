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


def test_every_link_of_the_readme_leads_somewhere():
    """No document links to a file that is not there."""
    for name in ("README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
            assert (ROOT / target).exists(), f"{name}: {target}"


def test_every_file_that_the_documents_name_is_there():
    """ARCHITECTURE, the red lines and the READMEs name files that exist, wherever they stand."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    documents = [n for n in tracked if n.endswith(".md") and not n.startswith("docs/adr/")]
    assert len(documents) > 10
    missing = []
    for document in documents:
        for name in re.findall(
            r"`([\w*./-]+/[\w*.-]+\.(?:py|md|toml|proto|lua))`", (ROOT / document).read_text()
        ):
            pattern = re.compile(re.escape(name).replace(r"\*", r"[^/]*") + "$")
            if "$" not in name and not any(pattern.search("/" + path) for path in tracked):
                missing.append((document, name))
    assert [] == missing
