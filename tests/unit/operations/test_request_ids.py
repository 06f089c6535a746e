"""Ids of changes."""

import uuid

from tollgate_operations.request_ids import derived_request_id


def test_the_same_words_are_the_same_request() -> None:
    """A tenant asked for twice is one change; other words are another; the form is a UUID's."""
    first = derived_request_id("tenant", "acme")
    assert first == derived_request_id("tenant", "acme")
    assert first != derived_request_id("tenant", "acmee")
    assert first != derived_request_id("tenantacme")
    assert 8 == uuid.UUID(first).version
