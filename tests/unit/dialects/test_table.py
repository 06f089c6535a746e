"""The tables of docs/translation.md say what the code does today."""

from tests.unit.dialects import table


def test_issue_7_the_page_counts_recorded_traffic_as_the_code_does():
    """Whoever changes what can be told writes the page anew."""
    assert table.placed() == table.on_page()
