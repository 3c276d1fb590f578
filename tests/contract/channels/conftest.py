"""`stand`: one channel, put up with its sandbox on a real socket."""

import pytest

from all_rigs import stand_of


@pytest.fixture
async def stand(request):
    stand = stand_of(request.param)
    await stand.start()
    yield stand
    await stand.close()
