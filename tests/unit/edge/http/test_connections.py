"""Open connections: each address within its share, idle ones make way, none is counted twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.headers import client_address
from tollgate_edge.http.connections import Connections, possible
from tollgate_edge.limits.fair_shares import Shares


class Later:
    """A clock that stands still until it is told to run."""

    def __init__(self) -> None:
        self.due = []

    def __call__(self, seconds, action):
        assert 1.0 <= seconds <= 2.0
        self.due.append(action)

    def run(self):
        for action in self.due:
            action()
        self.due.clear()


class Line:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_case_B1_an_idle_connection_makes_way_and_a_busy_one_does_not():
    """At its share an address loses its own longest idle connection; busy ones keep theirs."""
    later = Later()
    connections = Connections(Shares(10, 2), (), later)
    first, second, third, fourth, other = (Line() for _ in range(5))
    assert connections.opened(first, "192.0.2.1")
    assert connections.opened(other, "192.0.2.2")
    assert connections.opened(second, "192.0.2.1")
    connections.busy(first)
    assert connections.opened(third, "192.0.2.1")
    later.run()
    assert [False, True, False] == [line.aborted for line in (first, second, other)]
    connections.busy(third)
    assert not connections.opened(fourth, "192.0.2.1")
    connections.idle(first)
    assert connections.opened(fourth, "192.0.2.1")
    later.run()
    assert first.aborted


def test_case_B1_what_lost_its_place_stays_a_moment_and_makes_way_first():
    """A flood of idle sockets cannot come back sooner, and its stay costs nobody a place."""
    later = Later()
    shares = Shares(4, 2)
    connections = Connections(shares, (), later)
    flood = [Line() for _ in range(4)]
    for line in flood:
        assert connections.opened(line, "192.0.2.1")
    assert ([False] * 4, 4) == ([line.aborted for line in flood], shares.used)
    other = Line()
    assert connections.opened(other, "192.0.2.2")
    assert ([True, False, False, False], 4) == ([line.aborted for line in flood], shares.used)
    later.run()
    assert ([True, True, False, False], 3) == ([line.aborted for line in flood], shares.used)


def test_case_B1_who_calls_on_a_connection_without_a_place_is_served_within_the_share():
    """It takes the place of one that is idle; where all are busy it is closed."""
    later = Later()
    shares = Shares(10, 1)
    connections = Connections(shares, (), later)
    first, second = Line(), Line()
    connections.opened(first, "192.0.2.1")
    connections.opened(second, "192.0.2.1")
    assert connections.busy(first)
    assert not connections.busy(second)
    later.run()
    assert (False, 1) == (first.aborted, shares.used)
    connections.idle(first)
    assert connections.opened(Line(), "192.0.2.1")
    assert 2 == shares.used


def test_an_ipv6_client_is_its_network_and_a_trusted_proxy_has_no_share():
    """A client may change the lower half of its address at will; a proxy speaks for many."""
    later = Later()
    connections = Connections(Shares(10, 1), client_address.networks(["10.0.0.0/8"]), later)
    lines = [Line() for _ in range(6)]
    for line in lines[:2]:
        connections.opened(line, f"2001:db8::{id(line) % 9999:x}")
    for line in lines[2:4]:
        connections.opened(line, "10.1.2.3")
    later.run()
    assert [True, False, False, False] == [line.aborted for line in lines[:4]]
    connections.opened(lines[4], "::ffff:192.0.2.1")
    connections.opened(lines[5], "192.0.2.1")
    later.run()
    assert lines[4].aborted


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("opened", "busy", "idle", "closed", "later")), st.integers(0, 7)
        ),
        max_size=120,
    )
)
def test_the_count_is_true_whatever_happens_in_which_order(steps):
    """Opened, closed, closed twice, evicted: what is counted is what is open."""
    shares = Shares(4, 3)
    later = Later()
    connections = Connections(shares, (), later)
    lines: dict[int, Line] = {}
    for step, number in steps:
        if step == "opened":
            if number in lines and not lines[number].aborted:
                continue
            line = Line()
            if connections.opened(line, f"192.0.2.{number % 2}"):
                lines[number] = line
        elif step == "later":
            later.run()
        elif number in lines:
            kept = getattr(connections, step)(lines[number])
            if step == "closed" or kept is False:
                lines.pop(number)
        alive = sum(not line.aborted for line in lines.values())
        assert alive == len(connections) == shares.used <= 4


@pytest.mark.parametrize(("wanted", "got"), [(100, 100)])
def test_no_more_connections_are_promised_than_files_can_be_open(wanted, got):
    """What the process may open is the limit; few are always possible."""
    assert got == possible(wanted)
    assert 0 < possible(10**9) < 10**9
