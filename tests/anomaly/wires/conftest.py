"""`wires`: a gateway on real files whose channels are behind wires that can be cut."""

import pytest

from wires import WireWorld


@pytest.fixture(params=["wechat", "alipay", "unionpay"])
def wires(request, tmp_path):
    world = WireWorld(request.param, tmp_path).start()
    yield world
    world.close()
