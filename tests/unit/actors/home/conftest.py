"""A shop on the way home, in memory or on a file."""

import pytest

from home_custody import Shop


@pytest.fixture
def shop():
    """In memory."""
    made = Shop()
    yield made
    made.close()


@pytest.fixture
def filed_shop(tmp_path):
    """On a SQLite file, as in production."""
    made = Shop(tmp_path / "shard-0.db")
    yield made
    made.close()
