"""The docs show the table that the code obeys."""

from __future__ import annotations

from pathlib import Path

from immune.incidents.diagram import mermaid, table

PAGE = Path(__file__).parents[2] / "docs" / "incidents.md"


def test_the_page_shows_the_table_as_it_is() -> None:
    """A change of the table must reach the page."""
    page = PAGE.read_text()
    assert mermaid() in page
    assert table() in page
