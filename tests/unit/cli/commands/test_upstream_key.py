"""What is seen of a key before anything is made with it."""

import pytest

from tests import google
from tollgate_cli.commands import upstream_key
from tollgate_cli.fault import Fault
from tollgate_dialects.registry import UPSTREAM_DIALECTS
from tollgate_router.providers import admission, endpoint


@pytest.mark.parametrize(
    ("text", "protocol", "told"),
    [
        ("", "openai", "empty or has blanks"),
        ("sk-one sk-two", "openai", "empty or has blanks"),
        ("sk-\u00e9t\u00e9", "openai", "visible ASCII"),
        ("k" * 4097, "openai", "visible ASCII"),
        ("{", "gemini", "no service account: not JSON"),
        ('{"type": "authorized_user"}', "vertex-anthropic", 'its type is not "service_account"'),
        (google.file(client_email=None), "gemini", "without a client_email"),
        (google.file(more="m" * 9_000), "gemini", "more than 8192 bytes"),
        (google.file(), "openai", "a service account's file is for gemini and vertex-anthropic"),
    ],
)
def test_what_router_would_refuse_is_refused_before(tmp_path, text, protocol, told):
    """By its rule, and without a piece of it."""
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(Fault, match=told) as refused:
        upstream_key.read(path, protocol)
    said = f"{refused.value.problem}{refused.value.remedy}"
    assert not [piece for piece in (*google.pieces(), text) if len(piece) > 1 and piece in said]


@pytest.mark.parametrize("text", ["k", "k" * 4096, "AKIA:secret/+=", "k" * 4097, "\u00e9", "~!"])
def test_the_rule_for_a_plain_key_is_routers(tmp_path, text):
    """The same keys pass here and there."""
    path = tmp_path / "key"
    path.write_text(f"{text}\n")
    if endpoint.is_sendable_key(text):
        assert text == upstream_key.read(path, "openai")
    else:
        with pytest.raises(Fault):
            upstream_key.read(path, "openai")


def test_the_rules_for_an_account_are_routers(tmp_path):
    """The protocols that take one, and how large it may be."""
    path = tmp_path / "key"
    path.write_text(google.file())
    taking = [
        protocol.value
        for protocol, dialect in UPSTREAM_DIALECTS.items()
        if dialect.endpoint.account(google.file()) is not None
    ]
    assert len(taking) == len(upstream_key.ACCOUNT_PROTOCOLS)
    for protocol in upstream_key.ACCOUNT_PROTOCOLS:
        assert google.file() == upstream_key.read(path, protocol)
    assert admission.ACCOUNT_BYTES_MAX == upstream_key._ACCOUNT_BYTES_MAX
