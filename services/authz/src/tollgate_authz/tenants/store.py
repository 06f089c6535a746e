"""The seam to what authz keeps. Every implementation passes tests/contract/test_authz_store.py.

Promises, whatever is behind it: a change is carried out whole or not at all, at most once per
request_id, and only after `before_commit` has returned; a change that can turn an allow into a deny
takes the next revision in the same transaction, and revisions become visible in their order. What
cannot be answered raises Failure (STORE_UNAVAILABLE, OUTCOME_UNKNOWN): silence is never a denial.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tollgate_authz.tenants.directory import (
    Change,
    ChangeOutcome,
    Group,
    Key,
    Revision,
    Revocations,
    Subject,
    Tenant,
)

# Lists are cut after one more than this, so that the caller can tell that they were.
LIST_MAX: Final = 10_000
# Revisions that a reader may be behind before it must drop everything.
REVISIONS_KEPT: Final = 100_000
# The head of an empty log. Cursor 0 means "from now", so no revision is 0.
FIRST_REVISION: Final = Revision(1)

BeforeCommit = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The key under a public id, if any, and the revision both were read at."""

    subject: Subject | None
    revision: Revision


class Store(Protocol):
    """Tenants, groups, keys, their changes, and the log of what was taken away."""

    async def find(self, public_id: str) -> Found:
        """All that a decision needs, in one query."""
        ...

    async def apply(self, change: Change, before_commit: BeforeCommit) -> ChangeOutcome:
        """Carry a change out.

        `before_commit` is awaited when it is known that the change will be made, before anybody can
        see it; if it raises, nothing has changed.
        """
        ...

    async def tenants(self) -> Sequence[Tenant]:
        """In order of creation."""
        ...

    async def groups(self, tenant_id: str) -> Sequence[Group]:
        """In order of creation."""
        ...

    async def keys(self, tenant_id: str) -> Sequence[Key]:
        """In order of creation."""
        ...

    async def key(self, key_id: str) -> Key | None: ...

    async def revocations(self, *, after: int, limit: int) -> Revocations:
        """At most `limit` revisions after the cursor; cursor 0 reads the head alone."""
        ...
