"""Towns for tests: each with its custody box and a bank, ended when the test is over."""

import pytest

from custody_town import Town


@pytest.fixture
async def make_town(tmp_path):
    """make_town(shards=…, settles=…): a box over a store in a file, before the bank's sandbox."""
    towns = []

    async def make(**options):
        folder = tmp_path / f"town-{len(towns)}"
        folder.mkdir()
        town = Town(folder, **options)
        towns.append(town)
        return await town.open()

    yield make
    for town in towns:
        await town.close()


@pytest.fixture
async def town(make_town):
    """One shard."""
    return await make_town()
