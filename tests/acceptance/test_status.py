"""GET /v1/status tells how each shard is, and costs nobody anything."""


def test_status_knows_its_shards(gateway, shop):
    """A shard that serves says so, with its numbers."""
    shop.paid()

    status = gateway.operator.get("/v1/status")

    assert (200, True) == (status.status, status["ready"]), status
    for shard in status["shards"]:
        assert shard["ready"], status
        assert shard["epoch"] >= 1
        assert shard["lanes"] == shard["lanes_up"] >= 1
