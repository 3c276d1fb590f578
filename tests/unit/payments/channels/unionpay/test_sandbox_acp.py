"""The sandbox's ACP 5.1.0, as a client sees it that knows only the rule."""

import asyncio

import pytest
from cryptography.exceptions import InvalidSignature

from payments.channels.unionpay.wire import encode_time

TRADE = "0ABCDEFGHJKMNPQRSTVWXYZ001"
QUERY = ("00/00", "queryTrans")


async def test_a_code_is_shown_scanned_and_paid(bay):
    stranger = bay.stranger
    shown = await stranger.acp("01/07", backUrl=bay.inbox.url, reqReserved="table 7")
    assert "00" == shown["respCode"]
    prefix, digits = shown["qrCode"].rsplit("/", 1)
    assert "https://qr.95516.com/00010000" == prefix
    assert (32, "62", True) == (len(digits), digits[:2], digits.isdigit())
    waiting = await stranger.acp(*QUERY)
    assert ("00", "05") == (waiting["respCode"], waiting["origRespCode"])
    assert "" == bay.act()
    paid = await stranger.acp(*QUERY)
    assert ("00", "3800", "156") == (paid["origRespCode"], paid["txnAmt"], paid["currencyCode"])
    for name in ("queryId", "traceNo", "traceTime", "settleDate"):
        assert paid[name].isdigit()
    [(kind, told)] = await bay.inbox.wait(1)
    assert "application/x-www-form-urlencoded" == kind
    assert stranger.check(told)
    expected = {
        "orderId": TRADE, "txnTime": "20261122080000", "txnAmt": "3800", "respCode": "00",
        "queryId": paid["queryId"], "reqReserved": "table 7", "txnType": "01",
    }  # fmt: skip
    assert expected == {name: told[name] for name in expected}


async def test_any_200_or_302_acknowledges_and_nothing_else(bay):
    bay.inbox.answers = [(500, b"success"), (404, b""), (302, b"")]
    await bay.stranger.acp("01/07", backUrl=bay.inbox.url)
    bay.act()
    await bay.inbox.wait(3)
    async with asyncio.timeout(60):
        while bay.sandbox.courier.pending:  # noqa: ASYNC110 - the courier has no event
            await asyncio.sleep(0.01)
    assert 1 == bay.sandbox.courier.counts["acknowledged"]
    assert 3 == bay.sandbox.courier.counts["sent"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signature": "AAAA"}, "11"),
        ({"signature": ""}, "11"),
        ({"certId": "1"}, "11"),
        ({"merId": "1"}, "31"),
        ({"orderId": None}, "13"),
        ({"txnTime": None}, "13"),
        ({"txnAmt": None}, "13"),
        ({"currencyCode": None}, "13"),
        ({"backUrl": None}, "13"),
        ({"version": "5.0.0"}, "10"),
        ({"encoding": "GBK"}, "10"),
        ({"signMethod": "11"}, "10"),
        ({"bizType": "000201"}, "10"),
        ({"accessType": "7"}, "10"),
        ({"orderId": "with-dash1"}, "10"),
        ({"orderId": "short"}, "10"),
        ({"txnTime": "20261399000000"}, "10"),
        ({"txnAmt": "1.00"}, "10"),
        ({"backUrl": "ftp://x"}, "10"),
        ({"payTimeout": "20200101000000"}, "39"),
        ({"payTimeout": "soon"}, "10"),
        ({"txnSubType": "99"}, "10"),
    ],
    ids=str,
)
async def test_a_wrong_request_is_refused_by_its_code(bay, changes, code):
    answer = await bay.stranger.acp("01/07", **changes)
    assert code == answer["respCode"]
    assert bay.book() is None


async def test_a_query_is_not_served_where_payments_are(bay):
    assert "10" == (await bay.stranger.acp("00/00"))["respCode"]
    assert "10" == (await bay.stranger.acp("01/07", "queryTrans"))["respCode"]


async def test_a_sender_may_sign_its_empty_fields(bay):
    assert "00" == (await bay.stranger.acp("01/07", reqReserved=""))["respCode"]


async def test_an_order_is_its_number_and_its_time(bay):
    shown = await bay.stranger.acp("01/07")
    assert shown["qrCode"] == (await bay.stranger.acp("01/07"))["qrCode"]
    assert "12" == (await bay.stranger.acp("01/07", txnAmt="1"))["respCode"]
    other = await bay.stranger.acp(*QUERY, txnTime="20261122080001")
    assert "34" == other["respCode"]
    assert "34" == (await bay.stranger.acp(*QUERY, orderId="UNKNOWN1"))["respCode"]


async def test_a_paid_code_is_not_shown_again(bay):
    await bay.stranger.acp("01/07")
    bay.act()
    assert "12" == (await bay.stranger.acp("01/07"))["respCode"]


async def test_the_two_dialects_do_not_see_each_others_orders(bay):
    await bay.stranger.acp("01/07")
    answer = await bay.stranger.json("queryOrder", orderType="unionpay")
    assert "34" == answer["respCode"]


async def test_a_code_ends_by_its_time(bay):
    until = encode_time(bay.clock.now_ms() + 60_000)
    await bay.stranger.acp("01/07", payTimeout=until)
    bay.advance(61)
    assert "39" == (await bay.stranger.acp(*QUERY))["origRespCode"]
    again = await bay.stranger.acp("01/07", payTimeout=until)
    assert "39" == again["respCode"]
    assert "the order is closed" == bay.act()


@pytest.mark.parametrize(
    ("ending", "code", "origin"),
    [
        ("0000", "00", "00"),
        ("9001", "05", "05"),
        ("9003", "64", "64"),
        ("9004", "39", "39"),
        ("9005", "04", "00"),
    ],
)
async def test_a_payers_code_is_consumed_as_its_ending_says(bay, ending, code, origin):
    number = {"qrNo": "621234567890123" + ending, "termId": "00000001"}
    assert code == (await bay.stranger.acp("01/06", **number))["respCode"]
    assert origin == (await bay.stranger.acp(*QUERY))["origRespCode"]


async def test_a_payment_is_refunded_in_parts_by_its_query_id(bay):
    stranger = bay.stranger
    await stranger.acp("01/07")
    back = {"orderId": "REFUND01", "txnAmt": "1000", "backUrl": bay.inbox.url}
    bay.act()
    paid = await stranger.acp(*QUERY)
    back["origQryId"] = paid["queryId"]
    for _ in range(2):
        assert "00" == (await stranger.acp("04/00", **back, reqReserved=TRADE))["respCode"]
    assert 1000 == bay.book().refunded_minor
    [(_, told)] = await bay.inbox.wait(1)
    expected = {"txnType": "04", "orderId": "REFUND01", "txnAmt": "1000", "reqReserved": TRADE}
    assert expected == {name: told[name] for name in expected}
    assert paid["queryId"] == stranger.check(told)["origQryId"]
    asked = await stranger.acp(*QUERY, orderId="REFUND01")
    assert ("00", "1000") == (asked["origRespCode"], asked["txnAmt"])
    too_much = back | {"orderId": "REFUND02", "txnAmt": "2801"}
    assert "36" == (await stranger.acp("04/00", **too_much))["respCode"]
    changed = back | {"txnAmt": "999"}
    assert "12" == (await stranger.acp("04/00", **changed))["respCode"]
    unknown = back | {"orderId": "REFUND03", "origQryId": "1"}
    assert "35" == (await stranger.acp("04/00", **unknown))["respCode"]
    assert "13" == (await stranger.acp("04/00", orderId="REFUND04"))["respCode"]


async def test_a_refund_comes_within_thirty_days(bay):
    await bay.stranger.acp("01/07")
    bay.act()
    back = {"origOrderId": TRADE, "origTxnTime": "20261122080000", "txnAmt": "1"}
    bay.advance(31 * 86_400)
    answer = await bay.stranger.acp("04/00", orderId="REFUND01", **back)
    assert "35" == answer["respCode"]


async def test_a_revoke_is_of_the_same_day_and_the_whole(bay):
    stranger = bay.stranger
    await stranger.acp("01/07")
    back = {"origOrderId": TRADE, "origTxnTime": "20261122080000", "txnAmt": "3800"}
    assert "35" == (await stranger.acp("31/00", orderId="REVOKE01", **back))["respCode"]
    bay.act()
    part = back | {"txnAmt": "1"}
    assert "36" == (await stranger.acp("31/00", orderId="REVOKE01", **part))["respCode"]
    assert "00" == (await stranger.acp("31/00", orderId="REVOKE01", **back))["respCode"]
    assert 3800 == bay.book().refunded_minor
    assert "45" == (await stranger.acp("31/00", orderId="REVOKE02", **back))["respCode"]
    number = {"orderId": "ANOTHER1", "qrNo": "62", "termId": "1"}
    await stranger.acp("01/06", **number)
    bay.advance(86_400)
    old = back | {"origOrderId": "ANOTHER1"}
    assert "35" == (await stranger.acp("31/00", orderId="REVOKE03", **old))["respCode"]


async def test_an_unclear_payment_is_reversed(bay):
    stranger = bay.stranger
    assert "34" == (await stranger.acp("99/01"))["respCode"]
    await stranger.acp("01/06", qrNo="6212345678901239005", termId="1")
    for _ in range(2):
        assert "00" == (await stranger.acp("99/01"))["respCode"]
    assert "46" == (await stranger.acp(*QUERY))["origRespCode"]
    assert ("reversed", 3800) == (bay.book().state, bay.book().refunded_minor)


async def test_for_twenty_seconds_the_signature_is_wrong(bay):
    number = {"qrNo": "6212345678901239010", "termId": "1"}
    with pytest.raises(InvalidSignature):
        await bay.stranger.acp("01/06", **number)
    bay.advance(21)
    assert "00" == (await bay.stranger.acp(*QUERY))["origRespCode"]


@pytest.mark.parametrize("body", [b"", b"a", b"a=1&a=2", b"{}", b"\xff"])
async def test_what_is_not_a_form_is_a_format_error(bay, body):
    form = "application/x-www-form-urlencoded"
    status, answer = await bay.stranger.post("/gateway/api/backTransReq.do", body, form)
    assert 200 == status
    assert b"respCode=10&" in answer
