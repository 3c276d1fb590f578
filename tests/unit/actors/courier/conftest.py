"""Towns for tests: each with its courier, ended when the test is over."""

import pytest

from post import Town


@pytest.fixture
async def make_town(tmp_path):
    """make_town(shards=…, limits=…): a courier over a store in a file."""
    towns = []

    async def make(**options):
        town = Town(tmp_path / f"courier-{len(towns)}.db", **options)
        towns.append(town)
        return await town.start()

    yield make
    for town in towns:
        await town.crash()


@pytest.fixture
async def town(make_town):
    """One shard."""
    return await make_town()
