"""What a person is told when an RPC fails, and how a repeated command stays one change."""

import grpc
import pytest

from tollgate_cli import operator_client
from tollgate_cli.commands.audit import published_size
from tollgate_cli.commands.key import parse_expiry
from tollgate_cli.fault import Fault
from tollgate_kit.rpc.failure import REASONS, Failure

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_has_words(reason: str) -> None:
    """No reason of the enum is shown raw, none says nothing."""
    fault = operator_client.explain(Failure(grpc.StatusCode.UNKNOWN, reason), "budget")
    assert fault.problem
    assert reason not in fault.problem + fault.remedy
    assert "{" not in fault.problem + fault.remedy


def test_what_is_down_is_named() -> None:
    """A suite that is not running is told with the command that starts it."""
    fault = operator_client.explain(Failure(grpc.StatusCode.UNAVAILABLE, "SESSION_BROKEN"), "authz")
    assert "authz" in fault.problem
    assert "tollgate up" in fault.remedy


def test_expiry_is_a_span_or_a_date() -> None:
    """30d counts from now; a date begins at midnight UTC; the past and nonsense are refused."""
    assert NOW_MS // 1000 + 30 * 86_400 == parse_expiry("30d", NOW_MS).seconds
    assert 1_735_689_600 == parse_expiry("2025-01-01", NOW_MS).seconds
    for text in ("soon", "2020-01-01", "-1d"):
        with pytest.raises(Fault):
            parse_expiry(text, NOW_MS)


def test_the_size_of_a_checkpoint_is_its_second_line() -> None:
    """No checkpoint yet is size 0."""
    assert [0, 42] == [published_size(b""), published_size(b"origin\n42\nroot\n\nsig\n")]
