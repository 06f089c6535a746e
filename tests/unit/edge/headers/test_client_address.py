"""Which address counts: the socket's, or the first hop that is no proxy of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.headers import client_address

PROXIES = client_address.networks(["10.0.0.0/8", "2001:db8::/32"])
SHAPES = [
    # peer, header lines, address
    ("203.0.113.9", [], "203.0.113.9"),
    ("203.0.113.9", [b"1.1.1.1"], "203.0.113.9"),  # not a trusted proxy: the header is a lie
    ("10.0.0.1", [], "10.0.0.1"),
    ("10.0.0.1", [b"1.1.1.1"], "1.1.1.1"),
    ("10.0.0.1", [b"6.6.6.6, 1.1.1.1"], "1.1.1.1"),  # the client wrote 6.6.6.6 itself
    ("10.0.0.1", [b"6.6.6.6", b"1.1.1.1"], "1.1.1.1"),  # two lines are one list
    ("10.0.0.1", [b"1.1.1.1, 10.0.0.2"], "1.1.1.1"),  # two proxies
    ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # a client inside
    ("10.0.0.1", [b"1.1.1.1, junk"], "10.0.0.1"),
    ("10.0.0.1", [b"1.1.1.1,"], "10.0.0.1"),
    ("10.0.0.1", [b"1.1.1.1, junk, 10.0.0.2"], "10.0.0.2"),  # nothing left of junk is believed
    ("10.0.0.1", [b"1.1.1.1:4711"], "1.1.1.1"),
    ("10.0.0.1", [b"[2606:4700::1]:443"], "2606:4700::1"),
    ("10.0.0.1", [b"::ffff:1.1.1.1"], "1.1.1.1"),
    ("::ffff:10.0.0.1", [b"1.1.1.1"], "1.1.1.1"),
    ("2001:db8::1", [b"2606:4700::1"], "2606:4700::1"),
    ("10.0.0.1", [b"fe80::1%eth0"], "10.0.0.1"),
    ("10.0.0.1", [b"unknown"], "10.0.0.1"),
    ("10.0.0.1", [b"1.1.1.1, " * 40 + b"2.2.2.2"], "10.0.0.1"),  # too long to be a chain
]


@pytest.mark.parametrize(("peer", "lines", "expected"), SHAPES)
def test_shapes(peer, lines, expected):
    """The right-most hop that is not a trusted proxy counts, nothing left of it."""
    assert expected == client_address.resolve(peer, lines, PROXIES)


@pytest.mark.parametrize(("peer", "lines", "_"), SHAPES)
def test_without_trusted_proxies_only_the_socket_counts(peer, lines, _):
    """No list: the header means nothing."""
    plain = peer.removeprefix("::ffff:")
    assert plain == client_address.resolve(peer, lines, ())


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_what_a_client_writes_left_of_its_own_address_changes_nothing(lines):
    """Whatever a client puts into the header, the hop its proxy appended counts."""
    assert "1.1.1.1" == client_address.resolve("10.0.0.1", [*lines, b"1.1.1.1"], PROXIES)


def test_a_block_that_is_none_is_refused():
    """Bad configuration does not start."""
    with pytest.raises(ValueError):
        client_address.networks(["10.0.0.0/33"])
