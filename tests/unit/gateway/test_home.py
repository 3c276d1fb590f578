"""The way home at the front door: who is asked about whom, and what nobody else may see."""

import json
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from multidict import CIMultiDict

from actors.messages import Answer
from gateway.auth import Caller
from gateway.errors import EdgeError
from gateway.routes import Router
from gateway.routing_home import HOME_ROUTES
from payments.clock import ManualClock
from payments.errors import NotFound, PaymentError
from payments.idempotency import Digests
from payments.ids import IdMint, SeededEntropy
from payments.reference import Key, KeyOwner, KeyType, Merchant, MerchantStatus, Receiver

MINT = IdMint(SeededEntropy(7))
MINE, SIBLING, STRANGER = (MINT.new("mch", 1, partition) for partition in (3, 4, 5))
RIDER, FEE, OTHER = (MINT.new("rcv", 1, partition) for partition in (6, 0, 5))
MERCHANTS = {
    each.id: each
    for each in (
        Merchant(MINE, 1, "mine", MerchantStatus.ACTIVE, 3, "saas"),
        Merchant(SIBLING, 2, "sibling", MerchantStatus.ACTIVE, 4, "saas"),
        Merchant(STRANGER, 3, "stranger", MerchantStatus.ACTIVE, 5, None),
    )
}
RECEIVERS = {
    each.id: each
    for each in (
        Receiver(RIDER, MINE, None, "rider"),
        Receiver(FEE, None, "saas", "fee"),
        Receiver(OTHER, STRANGER, None, "other"),
    )
}
ROUTER = Router(list(HOME_ROUTES))
SHARDS = 4


def key(owner, **fields):
    merchant = MINE if owner in (KeyOwner.MERCHANT, KeyOwner.TERMINAL) else ""
    return Key(
        f"key_{owner}", KeyType.BEARER, owner, merchant, b"", **({"scopes": ("*",)} | fields)
    )


MERCHANT = key(KeyOwner.MERCHANT)
PLATFORM = key(KeyOwner.PLATFORM, platform="saas")
TERMINAL = key(KeyOwner.TERMINAL)
MAKER = key(KeyOwner.OPERATOR, scopes=(), roles=("maker",))
CHECKER = key(KeyOwner.OPERATOR, scopes=(), roles=("checker",))
VIEWER = key(KeyOwner.OPERATOR, scopes=(), roles=("viewer",))


class Door:
    """A front door whose shards answer what they are told to."""

    livemode = False

    def __init__(self, answers=None):
        self.asked = []
        self.answers = answers or {}
        self.mint = MINT
        self.clock = ManualClock()
        self.digests = Digests(bytes(32))
        self.shards = [f"shard-{number}" for number in range(SHARDS)]
        self.reference = SimpleNamespace(
            merchant=MERCHANTS.get,
            receiver=RECEIVERS.get,
            merchants_of_platform=lambda name: [
                each for each in MERCHANTS.values() if each.platform == name
            ],
        )

    def shard(self, partition):
        return self.shards[partition % SHARDS]

    async def ask(self, shard, message, patience_s):
        self.asked.append((shard, message))
        made = self.answers.get(message.op, self.answers.get((message.op, message.merchant)))
        status, body = made(shard, message) if callable(made) else made or (200, {})
        return Answer(0, status, json.dumps(body).encode())

    def reply(self, call, status, body, extra=b""):
        return SimpleNamespace(status=status, body=json.loads(body), extra=extra)


async def said(door, caller, method, path, body=None, *, acting="", idempotency=None):
    """One request through the router and its handler."""
    path, _, query = path.partition("?")
    route, params = ROUTER.find(method, path)
    headers = CIMultiDict()
    if body is not None:
        headers["Content-Type"] = "application/json"
    if idempotency:
        headers["Idempotency-Key"] = idempotency
    call = SimpleNamespace(
        door=door,
        caller=Caller(caller, acting or caller.merchant),
        method=method,
        path=path,
        query=query,
        target=path,
        params=params,
        headers=headers,
        body=b"" if body is None else json.dumps(body).encode(),
    )
    return await route.handler(call)


async def refused(*args, **fields):
    with pytest.raises((PaymentError, EdgeError)) as caught:
        await said(*args, **fields)
    return caught.value.code


TEN = {"amount": 1_000, "currency": "cny"}


@pytest.mark.parametrize(
    ("caller", "acting", "receiver", "merchant", "party"),
    [
        (MERCHANT, "", None, MINE, MINE),
        (MERCHANT, "", RIDER, MINE, RIDER),
        (PLATFORM, SIBLING, None, SIBLING, SIBLING),
        (PLATFORM, "", FEE, "", FEE),
        (PLATFORM, "", RIDER, MINE, RIDER),
        (MAKER, MINE, RIDER, MINE, RIDER),
        (MAKER, "", OTHER, STRANGER, OTHER),
    ],
)
async def test_a_withdrawal_goes_to_the_home_of_its_party(
    caller, acting, receiver, merchant, party
):
    """With an id of that partition, minted before the shard is asked."""
    door = Door({"withdrawal.create": (201, {"id": "wdr_1"})})
    body = TEN if receiver is None else {**TEN, "receiver": receiver}

    reply = await said(
        door, caller, "POST", "/v1/withdrawals", body, acting=acting, idempotency="k"
    )

    ((shard, ask),) = door.asked
    assert (201, merchant, party) == (reply.status, ask.merchant, ask.party)
    home = (RECEIVERS.get(party) and int(party != FEE) * {RIDER: 6, OTHER: 5}.get(party, 0)) or 0
    expected = MERCHANTS[party].partition if party in MERCHANTS else home
    assert shard == door.shard(expected)
    assert (ask.caller, ask.roles, json.loads(ask.body)) == (caller.id, caller.roles, body)
    assert ask.id.startswith("wdr_")
    assert ask.key_digest is not None


WITHDRAW = ("POST", "/v1/withdrawals")
BAT, INS, WDR, FRZ = (MINT.new(prefix, 1, 3) for prefix in ("bat", "ins", "wdr", "frz"))
WHY = {"reason": "why"}


@pytest.mark.parametrize(
    ("caller", "method", "path", "body", "fields", "code"),
    [
        (MERCHANT, *WITHDRAW, TEN, {}, "malformed"),
        (MERCHANT, *WITHDRAW, {**TEN, "receiver": OTHER}, {"idempotency": "k"}, "not_found"),
        (MERCHANT, *WITHDRAW, {**TEN, "receiver": FEE}, {"idempotency": "k"}, "not_found"),
        (PLATFORM, *WITHDRAW, {**TEN, "receiver": OTHER}, {"idempotency": "k"}, "not_found"),
        (PLATFORM, *WITHDRAW, TEN, {"idempotency": "k"}, "insufficient_scope"),
        (VIEWER, *WITHDRAW, TEN, {"idempotency": "k", "acting": MINE}, "insufficient_scope"),
        (TERMINAL, *WITHDRAW, TEN, {"idempotency": "k"}, "insufficient_scope"),
        (MERCHANT, *WITHDRAW, {**TEN, "amount": 0}, {"idempotency": "k"}, "invalid_field"),
        (MERCHANT, *WITHDRAW, {**TEN, "amount": "5"}, {"idempotency": "k"}, "invalid_field"),
        (MERCHANT, *WITHDRAW, {**TEN, "currency": "usd"}, {"idempotency": "k"}, "invalid_field"),
        (MERCHANT, *WITHDRAW, {**TEN, "colour": 1}, {"idempotency": "k"}, "invalid_field"),
        (MERCHANT, "POST", f"/v1/withdrawals/{WDR}/approve", {}, {}, "insufficient_scope"),
        (PLATFORM, "POST", f"/v1/withdrawals/{WDR}/approve", {}, {}, "insufficient_scope"),
        (MAKER, "POST", f"/v1/withdrawals/{WDR}/approve", {}, {}, "insufficient_scope"),
        (MAKER, "POST", f"/v1/settlement_instructions/{INS}/check", {}, {}, "insufficient_scope"),
        (CHECKER, "POST", f"/v1/withdrawals/{WDR}/reject", {}, {}, "invalid_field"),
        (CHECKER, "POST", f"/v1/withdrawals/{INS}/approve", {}, {}, "not_found"),
        (MERCHANT, "POST", "/v1/freezes", {**TEN, **WHY}, {"idempotency": "k"},
         "insufficient_scope"),
        (MERCHANT, "POST", f"/v1/freezes/{FRZ}/release", WHY, {}, "insufficient_scope"),
        (PLATFORM, "POST", "/v1/advances", {**TEN, "funder": "house"},
         {"idempotency": "k", "acting": MINE}, "insufficient_scope"),
        (MERCHANT, "GET", "/v1/withdrawals/wdr_1", None, {}, "not_found"),
        (MERCHANT, "GET", f"/v1/withdrawals?merchant={SIBLING}", None, {}, "not_found"),
        (MERCHANT, "GET", f"/v1/withdrawals?receiver={OTHER}", None, {}, "not_found"),
        (MERCHANT, "GET", f"/v1/withdrawals?receiver={RIDER}&merchant={MINE}", None, {},
         "invalid_field"),
        (MERCHANT, "GET", "/v1/withdrawals?colour=red", None, {}, "invalid_field"),
        (MERCHANT, "GET", "/v1/withdrawals?status=gone", None, {}, "invalid_field"),
        (PLATFORM, "GET", f"/v1/withdrawals?ending_before={WDR}", None, {}, "invalid_field"),
        (PLATFORM, "GET", f"/v1/withdrawals?starting_after={INS}", None, {}, "invalid_field"),
        (VIEWER, "GET", f"/v1/clearing_batches?starting_after={WDR}", None, {}, "invalid_field"),
        (VIEWER, "GET", f"/v1/settlement_instructions?starting_after={WDR}", None, {},
         "invalid_field"),
        (VIEWER, "GET", f"/v1/freezes?starting_after={WDR}", None, {}, "invalid_field"),
        (VIEWER, "GET", f"/v1/advances?starting_after={FRZ}", None, {}, "invalid_field"),
        (TERMINAL, "GET", "/v1/withdrawals", None, {}, "insufficient_scope"),
        (MERCHANT, "POST", "/v1/clearing_batches/run", {"business_date": "x"}, {},
         "invalid_field"),
        (VIEWER, "POST", "/v1/clearing_batches/run", {}, {}, "insufficient_scope"),
    ],
)  # fmt: skip
async def test_what_is_refused_is_refused_before_a_shard_is_asked(
    caller, method, path, body, fields, code
):
    """Scope, role, owner, body and query, in this order."""
    door = Door()

    assert code == await refused(door, caller, method, path, body, **fields)
    assert [] == door.asked


def whose(**fields):
    return 200, {"id": WDR, "merchant": None, "receiver": None} | fields


@pytest.mark.parametrize(
    ("caller", "acting", "owner", "is_seen"),
    [
        (MERCHANT, "", {"merchant": MINE}, True),
        (MERCHANT, "", {"receiver": RIDER}, True),
        (MERCHANT, "", {"merchant": SIBLING}, False),
        (MERCHANT, "", {"receiver": FEE}, False),
        (PLATFORM, "", {"merchant": SIBLING}, True),
        (PLATFORM, "", {"receiver": FEE}, True),
        (PLATFORM, "", {"merchant": STRANGER}, False),
        (PLATFORM, "", {"receiver": OTHER}, False),
        (PLATFORM, MINE, {"merchant": SIBLING}, False),
        (VIEWER, "", {"merchant": STRANGER}, True),
        (VIEWER, MINE, {"merchant": STRANGER}, False),
        (PLATFORM, "", {}, False),
    ],
)
async def test_anothers_object_is_one_that_does_not_exist(caller, acting, owner, is_seen):
    """Whatever the shard says: the answer is judged again before it is shown."""
    door = Door({"withdrawal.get": whose(**owner)})
    asked = said(door, caller, "GET", f"/v1/withdrawals/{WDR}", acting=acting)

    if is_seen:
        assert WDR == (await asked).body["id"]
    else:
        with pytest.raises(NotFound):
            await asked
    ((shard, ask),) = door.asked
    assert (door.shard(3), WDR, acting or caller.merchant) == (shard, ask.target, ask.merchant)


async def test_a_platform_acts_on_what_it_can_see_and_on_nothing_else():
    """It looks first: whose the object is says for which merchant it acts."""
    door = Door({"freeze.get": whose(merchant=SIBLING), "freeze.release": whose(merchant=SIBLING)})
    await said(door, PLATFORM, "POST", f"/v1/freezes/{FRZ}/release", WHY)
    assert ["", SIBLING] == [ask.merchant for _, ask in door.asked]

    door = Door({"freeze.get": whose(merchant=STRANGER)})
    assert "not_found" == await refused(door, PLATFORM, "POST", f"/v1/freezes/{FRZ}/release", WHY)
    assert ["freeze.get"] == [ask.op for _, ask in door.asked]


async def test_a_check_goes_to_the_shard_with_role_and_key():
    """The shard knows who drafted it, so it decides who may check."""
    door = Door({"settlement_instruction.check": (200, {"id": INS})})

    await said(door, CHECKER, "POST", f"/v1/settlement_instructions/{INS}/check")

    ((shard, ask),) = door.asked
    assert (door.shard(3), "settlement_instruction.check", INS) == (shard, ask.op, ask.target)
    assert (CHECKER.id, ("checker",), None) == (ask.caller, ask.roles, ask.key_digest)


def a_page(*ids, has_more=False):
    return 200, {"object": "list", "has_more": has_more, "data": [{"id": each} for each in ids]}


async def test_an_operators_list_is_of_all_shards_newest_first():
    """Merged by id; a cursor is told as a bound that every shard understands."""
    pages = {
        "shard-0": a_page("wdr_7", "wdr_2"),
        "shard-1": a_page("wdr_9", has_more=True),
        "shard-2": a_page(),
        "shard-3": a_page("wdr_8"),
    }
    door = Door({"withdrawal.list": lambda shard, ask: pages[shard]})

    page = (await said(door, VIEWER, "GET", "/v1/withdrawals?limit=3&status=paid")).body

    assert ["wdr_9", "wdr_8", "wdr_7"] == [each["id"] for each in page["data"]]
    assert page["has_more"]
    assert {"status": "paid", "limit": "3"} == door.asked[0][1].query
    assert {""} == {ask.merchant for _, ask in door.asked}
    await said(door, VIEWER, "GET", f"/v1/withdrawals?starting_after={WDR}")
    assert WDR == door.asked[-1][1].query["id[lt]"]


@pytest.mark.parametrize(
    ("caller", "path", "asked"),
    [
        (MERCHANT, "/v1/withdrawals", [(MINE, MINE)]),
        (MERCHANT, f"/v1/withdrawals?receiver={RIDER}", [(MINE, RIDER)]),
        (PLATFORM, "/v1/withdrawals", [(MINE, MINE), (SIBLING, SIBLING)]),
        (PLATFORM, f"/v1/withdrawals?merchant={SIBLING}", [(SIBLING, SIBLING)]),
        (PLATFORM, f"/v1/withdrawals?receiver={FEE}", [("", FEE)]),
        (VIEWER, f"/v1/withdrawals?merchant={STRANGER}", [(STRANGER, STRANGER)]),
        (VIEWER, "/v1/withdrawals", [("", "")] * SHARDS),
    ],
)
async def test_a_list_is_of_whom_the_key_can_reach(caller, path, asked):
    """And whose it is, is never among the filters that a shard gets."""
    door = Door({"withdrawal.list": a_page()})

    await said(door, caller, "GET", path)

    assert asked == [(ask.merchant, ask.party) for _, ask in door.asked]
    assert all({"limit"} == set(ask.query) for _, ask in door.asked)


@pytest.mark.parametrize(
    ("caller", "merchants"),
    [(MERCHANT, [MINE]), (PLATFORM, [MINE, SIBLING]), (MAKER, [""] * SHARDS)],
)
async def test_clearing_runs_for_whom_the_key_can_reach(caller, merchants):
    """Each by a command with an id of its own; one that still works speaks for all."""
    statuses = iter((202, 200, 200, 200))
    door = Door({"clearing_batch.run": lambda shard, ask: (next(statuses), {"shard": shard})})

    reply = await said(door, caller, "POST", "/v1/clearing_batches/run")

    assert merchants == [ask.merchant for _, ask in door.asked]
    assert (202, door.asked[0][0]) == (reply.status, reply.body["shard"])
    assert len(merchants) == len({ask.id for _, ask in door.asked})


async def test_a_rotated_key_asks_as_the_same_person():
    """Else a maker could rotate, and check what the key before it made."""
    rotated = replace(CHECKER, id="key_rotated", line=CHECKER.id)
    door = Door({"settlement_instruction.check": (200, {"id": INS})})

    for caller in (CHECKER, rotated):
        await said(door, caller, "POST", f"/v1/settlement_instructions/{INS}/check")

    assert {CHECKER.id} == {ask.caller for _, ask in door.asked}


async def test_keys_of_a_merchants_receivers_are_the_merchants():
    """The scope of a key is the merchant, whoever's money it moves."""
    door = Door({"withdrawal.create": (201, {"id": "wdr_1"})})

    for body in (TEN, {**TEN, "receiver": RIDER}):
        await said(door, MERCHANT, "POST", "/v1/withdrawals", body, idempotency="k")

    assert 1 == len({ask.key_digest for _, ask in door.asked})
    assert 2 == len({ask.fingerprint for _, ask in door.asked})
