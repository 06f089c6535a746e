"""Which addresses a provider may have."""

import ipaddress

import pytest

from tollgate_router.providers import base_url
from tollgate_router.providers.base_url import BadBaseUrl, may_connect, parse


@pytest.mark.parametrize(
    ("text", "origin", "path"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com:443", "/v1"),
        ("https://API.OpenAI.com:8443/v1/", "https://api.openai.com:8443", "/v1"),
        ("https://api.anthropic.com", "https://api.anthropic.com:443", ""),
        ("https://[2606:4700::1]/x", "https://[2606:4700::1]:443", "/x"),
        ("https://8.8.8.8", "https://8.8.8.8:443", ""),
    ],
)
def test_public_https_is_allowed(text, origin, path):
    """An https address in public is read into one spelling, its port always named."""
    parsed = parse(text, allow_private=False)
    assert (origin, path) == (parsed.origin, parsed.path)


REFUSED_ALWAYS = [
    "",
    "api.openai.com",
    "ftp://api.openai.com",
    "file:///etc/passwd",
    "http://api.openai.com/v1",
    "http://10.0.0.1/v1",
    "https://user@api.openai.com",
    "https://user:pw@api.openai.com",
    "https://@api.openai.com",
    "https://api.openai.com/v1?x=1",
    "https://api.openai.com/v1?",
    "https://api.openai.com/v1#x",
    "https://api.openai.com#",
    "https://api.openai.com:0",
    "https://api.openai.com:99999",
    "https://api.openai.com:",
    "https://api.openai.com/../x",
    "https://api.openai.com/a%2fb",
    "https://api.openai.com/a b",
    "https://api.openai.com\\@evil.com",
    "https://api.openai.com\r\nx: y",
    "https://аpi.openai.com",
    "https://api..com",
    "https://-api.com",
    "https://api.openai.com./v1",
    "https:///v1",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://1.2.3.4.5/",
    "https://169.254.169.254/latest",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://" + "a" * 600 + ".com",
]
REFUSED_UNLESS_PRIVATE = [
    "https://localhost",
    "http://localhost:8080",
    "http://127.0.0.1:8080",
    "https://127.0.0.1",
    "https://[::1]",
    "https://10.1.2.3",
    "https://172.16.0.1",
    "https://192.168.1.1",
    "https://100.64.0.1",
    "https://198.18.0.1",
    "https://[fd12::1]",
    "https://[2001:db8::1]",
    "https://vault",
    "https://metadata.google.internal",
    "https://db.local",
    "https://x.localhost",
]


@pytest.mark.parametrize("text", REFUSED_ALWAYS)
def test_refused_whatever_the_deployment_says(text):
    """Odd spellings, other schemes, plain http abroad and metadata services are never allowed."""
    for allow_private in (False, True):
        with pytest.raises(BadBaseUrl) as refused:
            parse(text, allow_private=allow_private)
        assert not text or text not in str(refused.value)


@pytest.mark.parametrize("text", REFUSED_UNLESS_PRIVATE)
def test_private_needs_the_setting(text):
    """Addresses and names inside the network need allow_private_upstreams."""
    with pytest.raises(BadBaseUrl):
        parse(text, allow_private=False)
    assert parse(text, allow_private=True).host


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("8.8.8.8", True, True),
        ("127.0.0.1", False, True),
        ("10.0.0.1", False, True),
        ("169.254.169.254", False, False),
        ("2606:4700::1", True, True),
        ("::1", False, True),
        ("fc00::1", False, True),
        ("2001::1", False, False),
        ("2002:7f00:1::", False, False),
        ("::7f00:1", False, True),
    ],
)
def test_resolved_names_are_checked_too(address, public, private):
    """What a name resolves to is held to the same table."""
    parsed = ipaddress.ip_address(address)
    assert (public, private) == (
        may_connect(parsed, allow_private=False),
        may_connect(parsed, allow_private=True),
    )


def test_loopback_is_known():
    """Plain http is for this machine only."""
    assert base_url.is_loopback("127.9.9.9")
    assert base_url.is_loopback("::1")
    assert not base_url.is_loopback("127.0.0.1.evil.com")
