"""Our connector shares money at the sandbox, and believes only what is signed and about it."""

import msgspec
import pytest

from payments.channels.sandbox.books import Books, Noted
from payments.channels.sharing import (
    Absent,
    Divided,
    Holder,
    NotDone,
    Portion,
    Registered,
    Returned,
    SharesMoney,
    SharingOrder,
    SharingReturn,
    Unclear,
)
from payments.channels.transport import HttpAnswer, NoAnswer, NotSent
from payments.channels.wechat import crypto
from payments.channels.wechat import sandbox_sharing_books as log
from payments.channels.wechat.sharing_wire import share_max

DAY_MS = 86_400_000
RIDER = "1900000201"
HOLDER = Holder("MERCHANT_ID", RIDER, "PARTNER", "河边餐饮有限公司")


def connected(shop, http=None, **changes):
    """The connector with WeChat Pay's public key to seal names with."""
    made = shop.channel(http, **changes)
    key = crypto.load_public_key(shop.given["public_key_pem"].encode())
    made.sharing._encrypt = lambda text: crypto.encrypt_field(key, text)
    return made.sharing


async def sold(shop, total=10_000, *, shared=True):
    body = shop.codepay(total=total, settle_info={"profit_sharing": shared})
    said = await shop.call("POST", "/v3/pay/transactions/codepay", body)
    assert said.status == 200, said.body
    return said.json["transaction_id"]


def order_of(trade, *, number="share-1", amount=500, account=RIDER, finish=True):
    parts = (Portion("MERCHANT_ID", account, amount),) if amount else ()
    return SharingOrder(trade, number, "mch_1", parts, finish, "分账")


def back_of(*, number="share-1", return_no="back-1", amount=200, account=RIDER):
    return SharingReturn(number, return_no, "mch_1", account, amount, "退款")


async def test_named_shared_and_taken_back(shop):
    sharing, trade = connected(shop), await sold(shop)

    assert isinstance(sharing, SharesMoney)
    assert Registered(RIDER) == await sharing.register(HOLDER, "mch_1")
    assert Registered(RIDER) == await sharing.register(HOLDER, "mch_1")
    pending = Portion("MERCHANT_ID", RIDER, 500)
    assert Divided("share-1", (pending,), False) == await sharing.share(order_of(trade))
    done = Portion("MERCHANT_ID", RIDER, 500, "success")
    assert Divided("share-1", (done,), True) == await sharing.inquire_share(order_of(trade))
    assert Returned("back-1", 200, "pending") == await sharing.take_back(back_of())
    assert Returned("back-1", 200, "success") == await sharing.inquire_return(back_of())


async def test_without_portions_everything_is_let_go(shop):
    sharing, trade = connected(shop), await sold(shop)
    rest = order_of(trade, amount=0)

    assert Divided("share-1", (), False) == await sharing.share(rest)
    assert Divided("share-1", (), True) == await sharing.inquire_share(rest)
    refused = await sharing.share(order_of(trade, number="share-2"))
    assert NotDone("INVALID_REQUEST") == refused


async def test_a_number_that_nobody_knows_is_absent(shop):
    sharing, trade = connected(shop), await sold(shop)

    assert Absent() == await sharing.inquire_share(order_of(trade))
    assert Absent() == await sharing.inquire_return(back_of())


@pytest.mark.parametrize(
    ("account", "reason"),
    [("1900009401", "ACCOUNT_ABNORMAL"), ("1900009405", "RECEIVER_RECEIPT_LIMIT")],
)
async def test_a_part_that_the_receiver_cannot_take_is_closed(shop, account, reason):
    sharing, trade = connected(shop), await sold(shop)
    await sharing.register(Holder("MERCHANT_ID", account, "STORE", "店"), "mch_1")

    order = order_of(trade, account=account)
    await sharing.share(order)
    seen = await sharing.inquire_share(order)

    assert (
        Divided("share-1", (Portion("MERCHANT_ID", account, 500, "closed", reason),), True) == seen
    )


async def test_a_return_that_the_receiver_cannot_pay_fails(shop):
    sharing, trade, poor = connected(shop), await sold(shop), "1900009502"
    await sharing.register(Holder("MERCHANT_ID", poor, "STORE", "店"), "mch_1")
    await sharing.share(order_of(trade, account=poor))

    await sharing.take_back(back_of(account=poor))
    seen = await sharing.inquire_return(back_of(account=poor))

    assert Returned("back-1", 200, "closed", "BALANCE_NOT_ENOUGH") == seen


REFUSALS = [
    ({"amount": 3_001}, "RULE_LIMIT"),
    ({"amount": 10_001}, "NOT_ENOUGH"),
    ({"trade": "4200000000000000000000000000"}, "RESOURCE_NOT_EXISTS"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSALS)
async def test_a_refusal_is_final_when_the_number_is_unknown(shop, changes, code):
    sharing, trade = connected(shop), await sold(shop)
    await sharing.register(HOLDER, "mch_1")
    asked = order_of(changes.pop("trade", trade), **changes)

    assert NotDone(code) == await sharing.share(asked)


async def test_an_order_that_is_not_to_be_shared_is_refused(shop):
    sharing, trade = connected(shop), await sold(shop, shared=False)

    assert NotDone("INVALID_REQUEST") == await sharing.share(order_of(trade))


async def test_after_thirty_days_nothing_is_held_back(shop):
    sharing, trade = connected(shop), await sold(shop)
    shop.clock.offset_ms += 30 * DAY_MS + 1

    assert NotDone("INVALID_REQUEST") == await sharing.share(order_of(trade))


async def test_after_180_days_nothing_is_taken_back(shop):
    sharing, trade = connected(shop), await sold(shop)
    await sharing.register(HOLDER, "mch_1")
    await sharing.share(order_of(trade))
    shop.clock.offset_ms += 180 * DAY_MS + 1

    assert NotDone("INVALID_REQUEST") == await sharing.take_back(back_of())


async def test_no_more_is_taken_back_than_was_given(shop):
    sharing, trade = connected(shop), await sold(shop)
    await sharing.register(HOLDER, "mch_1")
    await sharing.share(order_of(trade))
    await sharing.take_back(back_of(amount=400))

    assert NotDone("NOT_ENOUGH") == await sharing.take_back(back_of(return_no="b2", amount=101))
    pending = await sharing.take_back(back_of(return_no="b2", amount=100))
    assert Returned("b2", 100, "pending") == pending


async def test_the_books_outlive_the_sandbox(shop, open_shop):
    """A restart finds receivers, orders and returns, and refuses the numbers that were used."""
    sharing, trade = connected(shop), await sold(shop)
    await sharing.register(HOLDER, "mch_1")
    await sharing.share(order_of(trade))
    await sharing.take_back(back_of())
    shop.sandbox.books.close()

    async with open_shop() as again:
        sharing = connected(again)
        seen = await sharing.inquire_share(order_of(trade))
        back = await sharing.inquire_return(back_of())
        other = await sharing.take_back(back_of(amount=201))

    assert isinstance(seen, Divided)
    assert Returned("back-1", 200, "success") == back
    # The number is known, with another amount: nothing of it may be believed.
    assert isinstance(other, Unclear)


def test_notes_of_no_order_are_kept(tmp_path):
    """A sandbox's own notes are folded from the log like everything else."""
    books = Books(tmp_path)
    books.record(Noted(0, "x", {"a": 1}))
    books.close()

    again = Books(tmp_path)

    assert {"x": {"a": 1}} == again.notes
    again.close()


class Wire:
    """An HTTP client that tampers with what comes back, or loses it."""

    def __init__(self, http, change=None, error=None):
        self._http, self._change, self._error = http, change, error

    async def send(self, request):
        answer = await self._http.send(request)
        if self._error is not None:
            raise self._error
        facts = msgspec.json.decode(answer.body)
        self._change(facts)
        return HttpAnswer(answer.status, answer.headers, msgspec.json.encode(facts))


async def test_an_answer_that_does_not_verify_is_unclear(shop):
    sharing, trade = connected(shop), await sold(shop)
    await sharing.register(HOLDER, "mch_1")
    await sharing.share(order_of(trade))
    forger = connected(shop, Wire(shop.http, lambda facts: facts.update(state="FINISHED ")))

    assert isinstance(await forger.inquire_share(order_of(trade)), Unclear)


async def test_a_lost_answer_is_unclear_and_the_same_number_finds_it(shop):
    trade = await sold(shop)
    await connected(shop).register(HOLDER, "mch_1")
    lossy = connected(shop, Wire(shop.http, error=NoAnswer()))

    assert isinstance(await lossy.share(order_of(trade)), Unclear)
    assert isinstance(await connected(shop).share(order_of(trade)), Divided)
    seen = await connected(shop).inquire_share(order_of(trade))
    assert seen.is_over


async def test_what_was_not_sent_may_be_sent_again(shop):
    class Nobody:
        async def send(self, request):
            raise NotSent

    sharing = connected(shop, Nobody())

    assert NotDone("not_sent", is_final=False) == await sharing.share(order_of("4200"))


@pytest.mark.parametrize(
    "changes",
    [
        {"number": "share-2"},
        {"amount": 501},
        {"account": "1900000202"},
    ],
)
async def test_a_signed_answer_about_something_else_is_unclear(shop, changes):
    """The sandbox signs what it says of share-1; asked as something else it proves nothing."""
    sharing, trade = connected(shop), await sold(shop)
    await sharing.register(HOLDER, "mch_1")
    await sharing.share(order_of(trade))
    said = await shop.call(
        "GET", f"/v3/profitsharing/orders/share-1?transaction_id={trade}",
        headers={"Wechatpay-Serial": shop.given["public_key_id"]},
    )  # fmt: skip

    assert isinstance(sharing._shown(said.body, order_of(trade)), Divided)
    assert isinstance(sharing._shown(said.body, order_of(trade, **changes)), Unclear)


async def test_without_a_public_key_no_name_is_sent(shop):
    sharing = shop.channel().sharing

    assert NotDone("no_public_key") == await sharing.register(HOLDER, "mch_1")


@pytest.mark.parametrize(("amount", "most"), [(10_000, 3_000), (3, 0), (10, 3), (3_333, 999)])
def test_the_limit_is_rounded_down(amount, most):
    assert most == share_max(amount)


@pytest.mark.parametrize(
    ("code", "sent"), [("SYSTEM_ERROR", False), ("FREQUENCY_LIMITED", False), ("RULE_LIMIT", True)]
)
async def test_scripted_errors(shop, code, sent):
    """5xx says nothing; a busy channel is asked later; a refusal of the request is an end."""
    sharing, trade = connected(shop), await sold(shop)
    await shop.control("errors", {"code": code, "operation": "share"})

    said = await sharing.share(order_of(trade))

    if code == "SYSTEM_ERROR":
        assert isinstance(said, Unclear)
    else:
        assert NotDone(code, is_final=sent) == said


async def test_position_adds_up(shop):
    """Held, own, shared and refunded are what was settled, after each step."""
    sharing, trade = connected(shop), await sold(shop)
    await sharing.register(HOLDER, "mch_1")
    await sharing.share(order_of(trade, finish=False))
    await sharing.take_back(back_of())
    await shop.call("POST", "/v3/refund/domestic/refunds", shop.refund_of(amount=900, total=10_000))
    await sharing.unfreeze(order_of(trade, number="rest", amount=0))
    order = shop.sandbox.engine.by_trade_no(trade)

    where = shop.sandbox.sharing.position(order, log.shared_of(order))

    assert (0, 8_800, 300, 900) == (where.held, where.own, where.shared, where.refunded)
