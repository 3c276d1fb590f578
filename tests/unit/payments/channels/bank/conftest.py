"""A bank for each test."""

import pytest

from bank_rig import Bank
from iso_messages import Judges


@pytest.fixture
async def bank():
    made = await Bank().start()
    yield made
    await made.stop()


@pytest.fixture
async def kept(tmp_path):
    """A bank with a folder."""
    made = await Bank(tmp_path / "bank").start()
    yield made
    await made.stop()


@pytest.fixture
async def hasty():
    """A bank whose customer waits for a second at most, and which can take longer."""
    made = await Bank(timeout_s=1.0, late_s=2.0).start()
    yield made
    await made.stop()


@pytest.fixture(scope="session")
def judges():
    return Judges()
