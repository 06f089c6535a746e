"""The table of docs/clients.md says what the tests of the clients show today."""

from tests.e2e.clients import matrix


def test_the_page_has_what_the_tests_show():
    """Whoever changes what is run on what writes the page anew."""
    page = matrix.PAGE.read_text()
    assert matrix.page(page) == page
