"""The head of a request: exact, and nothing in it that ends a line."""

import pytest

from tollgate_router.providers.request_head import Origin, RequestHead


@pytest.mark.parametrize(("url", "origin", "start"), [
    ("https://a.example:443/v1/x", Origin("https", "a.example", 443),
     b"POST /v1/x HTTP/1.1\r\nHost: a.example\r\n"),
    ("https://a.example:8443", Origin("https", "a.example", 8443),
     b"POST / HTTP/1.1\r\nHost: a.example:8443\r\n"),
    ("http://[::1]:80/x", Origin("http", "::1", 80), b"POST /x HTTP/1.1\r\nHost: [::1]\r\n"),
])  # fmt: skip
def test_host_names_the_port_only_where_it_is_another(url, origin, start):
    """RFC 9110 section 7.2; an IPv6 address in brackets."""
    head = RequestHead.post(url, {})
    assert head.origin == origin
    assert head.encode(12) == start + b"Content-Length: 12\r\n\r\n"


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\x00", " a", "a ", "\u00e9"])
def test_a_value_that_cannot_stand_in_a_header_is_refused(value):
    """A line's end would be a second header; nothing of the value is repeated."""
    with pytest.raises(ValueError, match="cannot stand") as raised:
        RequestHead.post("https://a.example/", {"x": value})
    assert "b" not in str(raised.value).replace("be", "")
    head = RequestHead.post("https://a.example/", {})
    with pytest.raises(ValueError, match="cannot stand"):
        head.with_headers({"x": value})


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n"])
def test_a_name_that_is_no_token_is_refused(name):
    """RFC 9110 section 5.6.2."""
    with pytest.raises(ValueError, match="cannot stand"):
        RequestHead.post("https://a.example/", {name: "x"})


def test_a_head_shows_no_key():
    """It holds one: neither its text nor its repr says it."""
    head = RequestHead.post("https://a.example/", {"Authorization": "Bearer secret-key"})
    assert "secret" not in repr(head)
    assert "secret" not in str(head)


def test_headers_that_a_head_has_already_change_nothing():
    """The same bytes; another value is another head."""
    head = RequestHead.post("https://a.example/", {"anthropic-version": "2023-06-01", "B": "c"})
    assert head.with_headers({"anthropic-version": "2023-06-01"}).encode(1) == head.encode(1)
    assert b"2024-01-01" in head.with_headers({"anthropic-version": "2024-01-01"}).encode(1)
