"""The judges of messages, made once."""

import pytest

from iso_messages import Judges


@pytest.fixture(scope="session")
def judges():
    return Judges()
