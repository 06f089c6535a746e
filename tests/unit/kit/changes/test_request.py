"""A request is known again by its id and all of its content."""

import pytest

from tollgate.authz.v1 import authz_pb2
from tollgate_kit.changes.request import Applied, ChangeRequest, replay
from tollgate_kit.rpc.failure import Failure


def suspend(**fields):
    return authz_pb2.SetTenantEnabledRequest(**{"request_id": "r", "tenant_id": "t", **fields})


def test_the_same_message_is_the_same_request():
    """Whatever order its fields were set in; any other field, or another RPC, is other content."""
    first = ChangeRequest.of_message(suspend())
    assert first == ChangeRequest.of_message(suspend())
    others = (
        suspend(tenant_id="u"),
        suspend(enabled=True),
        authz_pb2.CreateTenantRequest(request_id="r", name="t"),
    )
    hashes = [ChangeRequest.of_message(other).content_sha256 for other in others]
    assert 4 == len({first.content_sha256, *hashes})


def test_an_answer_is_given_again_to_the_same_content_only():
    """A free id has no answer; other content is one error, which names the id."""
    asked = ChangeRequest.of("r", b"content")
    assert replay(asked, None) is None
    assert Applied(b"a", replayed=True) == replay(asked, (asked.content_sha256, b"a"))
    with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH") as refused:
        replay(asked, (ChangeRequest.of("r", b"other").content_sha256, b"a"))
    assert {"id": "r", "field": "content"} == refused.value.metadata


@pytest.mark.parametrize("wrong", ["", "a b", "é", "x" * 129, "a\n"])
def test_an_id_that_is_none_is_refused(wrong):
    """It is a key of a table and stands in the log."""
    with pytest.raises(Failure, match="INVALID_FIELD"):
        ChangeRequest.of(wrong, b"")
    assert ChangeRequest.of("!~" * 64, b"")
