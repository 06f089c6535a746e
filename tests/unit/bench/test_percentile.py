import pytest

from tests.bench.percentile import medians, percentile


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(1, 10.0), (20, 10.0), (50, 30.0), (80, 40.0), (99, 50.0), (100, 50.0)],
)
def test_nearest_rank(percent: float, expected: float) -> None:
    """A percentile is the least measured value that so many percent of all do not exceed."""
    assert expected == percentile([10.0, 20.0, 30.0, 40.0, 50.0], percent)


def test_one_value_is_every_percentile() -> None:
    """A round with one answer has percentiles."""
    assert [7.0, 7.0] == [percentile([7.0], 50), percentile([7.0], 99)]


def test_nothing_has_no_percentile() -> None:
    """Nothing measured is an error, never a zero."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize("percent", [0, -1, 101])
def test_percent_out_of_range_is_refused(percent: float) -> None:
    """A wrong percentage cannot read another value by negative indexing."""
    with pytest.raises(ValueError, match="no percentage"):
        percentile([1.0, 2.0], percent)


def test_medians_go_into_parts() -> None:
    """Each number is its own median over the rounds, also inside CPU time by process."""
    rounds = [
        {"p50_ms": 1.0, "cpu_ms": {"edge": 9.0, "budget": 1.0}},
        {"p50_ms": 5.0, "cpu_ms": {"edge": 2.0, "budget": 2.0}},
        {"p50_ms": 2.0, "cpu_ms": {"edge": 4.0, "budget": 3.0}},
    ]
    assert {"p50_ms": 2.0, "cpu_ms": {"edge": 4.0, "budget": 2.0}} == medians(rounds)
