"""Requests of unmodified clients, as captured: where texts were taken out, ours stand in."""

import json
import re
from typing import Any

import pytest

from tests.unit.dialects.corpus import CORPUS, ROOT

CLAUDE_CODE = "claude-code-2.1.197"
CODEX = "codex-0.169.0"
_LENGTH = re.compile(r"<(?:text|string) (\d+) chars>")


def _filled(value: Any, text: str) -> Any:
    if isinstance(value, str):
        length = _LENGTH.fullmatch(value)
        return (text * (int(length[1]) // len(text) + 1))[: int(length[1])] if length else value
    if isinstance(value, list):
        return [_filled(one, text) for one in value]
    if isinstance(value, dict):
        return {name: _filled(one, text) for name, one in value.items()}
    return value


def body_of(client: str) -> dict[str, Any]:
    """What a client sends with its first turn; skips the test where nothing was captured."""
    captured = CORPUS / "captured-clients" / f"{client}.request-shape.json"
    if not captured.exists():
        pytest.skip("no captured clients: set TOLLGATE_CORPUS to the corpus folder")
    text = (ROOT / "ARCHITECTURE.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    return _filled(json.loads(captured.read_text())["body"], text)
