"""What operators ask of a running gateway: status and the trial balance."""

from typing import Any, Final

from msgspec.json import decode as decode_json
from msgspec.json import encode

from actors.messages import ReadStatus
from gateway.auth import require, require_role
from gateway.edge import Reply
from gateway.lists import no_parameters
from gateway.modules import in_order
from gateway.routes import Call

PATIENCE_S: Final = 5.0


async def status(call: Call) -> Reply:
    """GET /v1/status: mode, version, and each shard's numbers that concern everybody."""
    no_parameters(call.query)
    door = call.door
    shards: list[dict[str, Any]] = []
    for number, dialer in enumerate(door.shards):
        stats = await door.stats_of(dialer)
        values = stats.values if stats is not None else {}
        shards.append(
            {
                "name": f"shard-{number}",
                "ready": stats is not None,
                "live": int(values.get("live", 0)),
                "queued": int(values.get("queued", 0)),
                "lanes": int(values.get("lanes", 0)),
                "lanes_up": int(values.get("lanes_up", 0)),
                "epoch": int(values.get("epoch", 0)),
            }
        )
    ready = all(door.ready().values())
    body = {
        "object": "status",
        "ready": ready,
        "livemode": door.livemode,
        "front_door": door.options.name,
        "modules": in_order(door.settings.modules),
        "checks": door.ready(),
        "shards": shards,
    }
    return door.reply(call, 200, encode(body))


async def trial_balance(call: Call) -> Reply:
    """GET /v1/ledger/trial_balance: debits and credits over all shards, by currency."""
    require(call.caller, "ledger:read")
    if call.door.livemode:
        # It sums up all merchants: nobody's key but an operator's may see that.
        require_role(call.caller, "operator")
    no_parameters(call.query)
    door = call.door
    sums: dict[str, dict[str, int]] = {}
    counts = dict.fromkeys(("payments", "refunds", "entries", "events"), 0)
    for dialer in door.shards:
        answer = await door.ask(dialer, ReadStatus(0, "trial_balance"), PATIENCE_S)
        view = decode_json(answer.body)
        for name in counts:
            counts[name] += view[name]
        for currency, figures in view["currencies"].items():
            total = sums.setdefault(currency, {"debits": 0, "credits": 0, "residual": 0})
            for name, minor in figures.items():
                total[name] += minor
    body = {"object": "trial_balance", "currencies": sums, **counts}
    return door.reply(call, 200, encode(body))
