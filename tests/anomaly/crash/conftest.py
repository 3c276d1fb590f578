"""A world on real files that can be made to die at a named point."""

import pytest

from crashing import Crashing


@pytest.fixture
def crash_world(tmp_path):
    world = Crashing(tmp_path).start()
    yield world
    world.close()
