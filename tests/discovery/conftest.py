"""What tests of an append use."""

import pytest

from prime_sql.discovery import append


@pytest.fixture
def counts_are_kept(monkeypatch):
    """Few images are a large share here, and classes would all be counted again."""
    monkeypatch.setattr(append, "MOST_CHANGED", 9)
