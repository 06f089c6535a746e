"""The cache of allow-decisions: fresh, bounded, forgetful."""

from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.identity.decision_cache import STALENESS_SECONDS, DecisionCache
from tollgate_kit.clock import ManualClock

SECRET = b"s" * 32


def cache(entries_max: int = 10) -> DecisionCache[str]:
    made: DecisionCache[str] = DecisionCache(secret=SECRET, entries_max=entries_max)
    made.heard(0.0)
    return made


def put(made, name, *, at=0.0, key="k", tenant="t", revision=1, max_age=30.0):
    digest = made.digest(name, "1.2.3.4")
    made.put(
        digest, f"grant of {name}", key_id=key, tenant_id=tenant, revision=revision,
        sent_at=at, max_age_s=max_age,
    )  # fmt: skip
    return digest


def test_a_grant_is_used_until_its_age_counted_from_before_the_question():
    """max_age counts from when the question was sent."""
    made = cache()
    digest = put(made, "a", at=0.0, max_age=10.0)
    for now, expected in ((9.9, "grant of a"), (10.0, None), (10.1, None)):
        made.heard(now)
        assert expected == made.get(digest, now)
    assert 0 == len(made)


def test_nothing_is_used_before_the_first_message_or_after_silence():
    """1.5 s without a message, and the cache is as if empty; it is there again when one comes."""
    never: DecisionCache[str] = DecisionCache(secret=SECRET, entries_max=10)
    assert never.get(put(never, "a"), 0.0) is None
    made = cache()
    digest = put(made, "a")
    assert made.get(digest, STALENESS_SECONDS) == "grant of a"
    assert made.get(digest, STALENESS_SECONDS + 0.001) is None
    made.heard(5.0)
    assert made.get(digest, 5.0) == "grant of a"


def test_drops_name_keys_tenants_or_everything():
    """A change drops exactly the grants that it names."""
    made = cache()
    first = put(made, "a", key="k1", tenant="t1")
    second = put(made, "b", key="k2", tenant="t1")
    third = put(made, "c", key="k3", tenant="t2")
    made.drop(key_ids=["k1"], tenant_ids=[], through_revision=2)
    assert [None, "grant of b", "grant of c"] == [made.get(d, 0.0) for d in (first, second, third)]
    made.drop(key_ids=[], tenant_ids=["t1"], through_revision=3)
    assert [None, "grant of c"] == [made.get(d, 0.0) for d in (second, third)]
    made.drop_all(4)
    assert (None, 0) == (made.get(third, 0.0), len(made))


def test_an_answer_that_a_change_overtook_is_not_kept():
    """Asked, then the key was revoked, then the old answer came: it must not be cached."""
    made = cache()
    made.drop(key_ids=["k"], tenant_ids=[], through_revision=7)
    assert made.get(put(made, "a", revision=6), 0.0) is None
    assert made.get(put(made, "a", revision=7), 0.0) == "grant of a"


def test_the_least_recently_used_goes_first():
    """Bounded: the oldest unused entry makes room."""
    made = cache(entries_max=2)
    first, second = put(made, "a"), put(made, "b")
    assert made.get(first, 0.0)
    third = put(made, "c")
    assert [True, False, True] == [bool(made.get(d, 0.0)) for d in (first, second, third)]


def test_the_digest_depends_on_key_address_and_process():
    """No digest of one key, address or process is another's."""
    made = cache()
    other: DecisionCache[str] = DecisionCache(secret=b"o" * 32, entries_max=1)
    digests = [
        made.digest("a", "1.1.1.1"), made.digest("b", "1.1.1.1"), made.digest("a", "2.2.2.2"),
        other.digest("a", "1.1.1.1"),
    ]  # fmt: skip
    assert 4 == len(set(digests))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 2)),
        st.tuples(st.just("heartbeat"), st.just(0)),
        st.tuples(st.just("revoke"), st.integers(0, 2)),
        st.tuples(st.just("call"), st.integers(0, 2)),
        st.tuples(st.just("cut"), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_call_starts_on_a_decision_older_than_the_bound(steps):
    """For any order of calls, revocations, heartbeats and a cut: a revoked key starts no call

    later than the staleness bound after the revocation, once the link is cut; and none at all
    while the link delivers.
    """
    clock = ManualClock(monotonic=0.0)
    made: DecisionCache[int] = DecisionCache(secret=SECRET, entries_max=5)
    revision, cut = 1, False
    revoked_at: dict[int, float] = {}
    for step, value in steps:
        now = clock.monotonic()
        if step == "wait":
            clock.advance(value)
        elif step == "cut":
            cut = True
        elif step == "heartbeat" and not cut:
            made.heard(now)
        elif step == "revoke":
            revision += 1
            revoked_at.setdefault(value, now)
            if not cut:
                made.drop(key_ids=[f"k{value}"], tenant_ids=[], through_revision=revision)
                made.heard(now)
        elif step == "call":
            digest = made.digest(f"key{value}", "")
            if made.get(digest, now) is not None:
                revoked = revoked_at.get(value)
                assert revoked is None or (cut and now - revoked <= STALENESS_SECONDS)
            elif value not in revoked_at:
                made.put(
                    digest, value, key_id=f"k{value}", tenant_id="t", revision=revision,
                    sent_at=now, max_age_s=30,
                )  # fmt: skip
