"""Refuses a Postgres that may forget what it acknowledged.

Pure. Promises: every unsafe setting is named, not only the first.
"""

from __future__ import annotations

from collections.abc import Mapping

# Setting -> the values under which an acknowledged commit survives a crash.
SAFE = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
}


def unsafe(settings: Mapping[str, str]) -> list[str]:
    """What is wrong, one line a setting; empty when commits are durable."""
    return [
        f"{name} is {settings.get(name, 'unknown')}, must be {' or '.join(good)}"
        for name, good in SAFE.items()
        if settings.get(name) not in good
    ]
