"""The sandbox's aggregated JSON interface, as a client sees it that knows only the rule."""

import json
from random import Random

import pytest
from cryptography.exceptions import InvalidSignature

from payments.channels.sandbox.app import SandboxSettings
from payments.channels.simulated.endings import LATE_MS, PIN_MS
from payments.channels.unionpay.identity import FILE, Damaged
from payments.channels.unionpay.sandbox import UnionpaySandbox
from payments.clock import ManualClock

TRADE = "0ABCDEFGHJKMNPQRSTVWXYZ001"


async def test_a_scanned_code_is_paid_and_the_answer_says_for_whom(bay):
    answer = await bay.stranger.json("micropay")
    assert "00" == answer["respCode"]
    assert "3800" == answer["txnAmt"] == answer["settleAmt"]
    assert TRADE == answer["orderNo"]
    assert bay.sandbox.identity.mer_id == answer["merId"]
    assert answer["transIndex"].isdigit()
    assert ("paid", 1) == (bay.book().state, bay.book().charges)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signature": "AAAA"}, "11"),
        ({"signature": "not base64"}, "11"),
        ({"signature": ""}, "11"),
        ({"serProvId": "1"}, "32"),
        ({"merId": "1"}, "31"),
        ({"serProvId": ""}, "13"),
        ({"merId": None}, "13"),
        ({"orderNo": None}, "13"),
        ({"orderTime": None}, "13"),
        ({"txnAmt": ""}, "13"),
        ({"authCode": None}, "13"),
        ({"termId": None}, "13"),
        ({"currencyCode": None}, "13"),
        ({"orderType": None}, "13"),
        ({"txnAmt": "0"}, "10"),
        ({"txnAmt": "38.00"}, "10"),
        ({"txnAmt": "-1"}, "10"),
        ({"orderTime": "2026-11-22"}, "10"),
        ({"currencyCode": "840"}, "10"),
        ({"orderNo": "x" * 41}, "10"),
        ({"orderType": "wechatJs"}, "10"),
        ({"orderType": "ecny"}, "10"),
        ({"authCode": "281234567890120000"}, "10"),
        ({"authCode": "13"}, "10"),
        ({"backUrl": "http://shop.example/x"}, "10"),
        ({"termInfo": "ip"}, "10"),
        ({"termInfo": "[]"}, "10"),
    ],
    ids=str,
)
async def test_a_wrong_request_is_refused_by_its_code_and_leaves_nothing(bay, changes, code):
    answer = await bay.stranger.json("micropay", **changes)
    assert code == answer["respCode"]
    assert "success" != answer["respMsg"]
    assert bay.book() is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"a":1}', b'{"merId":"1","merId":"2"}', b"\xff", b"a=1"]
)
async def test_what_is_not_a_flat_map_is_a_format_error_and_signed_all_the_same(bay, body):
    path = "/gateway/api/pay/micropay"
    status, answer = await bay.stranger.post(path, body, "application/json")
    assert 200 == status
    assert "10" == bay.stranger.check(json.loads(answer))["respCode"]


async def test_empty_values_are_signed_and_nulls_are_not(bay):
    fields = {"frontUrl": "", "orderInfo": "牛肉面 & 可乐"}
    assert "00" == (await bay.stranger.json("micropay", **fields))["respCode"]


async def test_unknown_paths_and_methods_have_no_body(bay):
    answer = await bay.stranger.post("/gateway/api/pay/other", b"{}", "application/json")
    assert (404, b"") == answer


async def test_a_number_counts_once_whatever_comes_with_it(bay):
    await bay.stranger.json("micropay")
    assert "12" == (await bay.stranger.json("micropay"))["respCode"]
    assert "12" == (await bay.stranger.json("micropay", txnAmt="1"))["respCode"]
    assert "12" == (await bay.stranger.json("unifiedorder"))["respCode"]
    assert 1 == bay.book().charges


@pytest.mark.parametrize(
    ("ending", "code"), [("9001", "02"), ("9003", "64"), ("9004", "39"), ("9005", "99")]
)
async def test_the_auth_codes_ending_decides(bay, ending, code):
    answer = await bay.stranger.json("micropay", authCode="13123456789012" + ending)
    assert code == answer["respCode"]


async def test_a_pin_is_awaited_then_entered(bay):
    await bay.stranger.json("micropay", authCode="131234567890129001")
    assert "05" == (await bay.stranger.json("queryOrder"))["origRespCode"]
    bay.advance(PIN_MS / 1000)
    paid = await bay.stranger.json("queryOrder")
    assert ("00", "3800") == (paid["origRespCode"], paid["txnAmt"])


async def test_coupons_name_their_sponsors(bay):
    answer = await bay.stranger.json("micropay", authCode="131234567890129012")
    mine = bay.sandbox.identity.mer_id
    coupons = {c["spnsrId"]: c["offstAmt"] for c in json.loads(answer["couponInfo"])}
    assert {"00010000": "300", mine: "200"} == coupons
    assert ("3800", "3600") == (answer["txnAmt"], answer["settleAmt"])


@pytest.mark.parametrize(
    ("order_type", "wallet", "names"),
    [
        (
            "wechatJs",
            "wechat",
            {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"},
        ),
        ("alipayJs", "alipay", {"tradeNo"}),
        ("upJs", "unionpay", {"tn"}),
    ],
)
async def test_a_wallets_page_gets_its_parameters_and_its_order_takes_both_types(
    bay, order_type, wallet, names
):
    made = await bay.stranger.json("unifiedorder", orderType=order_type)
    assert names == set(json.loads(made["payData"]))
    for asked in (order_type, wallet):
        answer = await bay.stranger.json("queryOrder", orderType=asked)
        assert ("00", "02") == (answer["respCode"], answer["origRespCode"])
    other = "alipay" if wallet != "alipay" else "wechat"
    assert "36" == (await bay.stranger.json("queryOrder", orderType=other))["respCode"]
    assert "36" == (await bay.stranger.json("closeOrder", orderType=other))["respCode"]


@pytest.mark.parametrize(
    "changes", [{"userId": None}, {"subAppId": None}, {"orderType": "wechat"}], ids=str
)
async def test_a_wallets_page_needs_its_payer_and_its_app(bay, changes):
    answer = await bay.stranger.json("unifiedorder", **changes)
    assert answer["respCode"] in ("10", "13")


async def test_the_same_order_for_a_page_is_answered_again_while_it_can_be_paid(bay):
    first = await bay.stranger.json("unifiedorder", orderType="alipayJs")
    again = await bay.stranger.json("unifiedorder", orderType="alipayJs")
    assert first["payData"] == again["payData"]
    other = await bay.stranger.json("unifiedorder", orderType="alipayJs", txnAmt="1")
    assert "12" == other["respCode"]
    bay.act()
    paid = await bay.stranger.json("unifiedorder", orderType="alipayJs")
    assert "12" == paid["respCode"]
    assert 1 == bay.book().charges


async def test_an_order_for_a_page_ends_by_its_time(bay):
    await bay.stranger.json("unifiedorder", paymentValidTime="60")
    bay.advance(61)
    assert "03" == (await bay.stranger.json("queryOrder"))["origRespCode"]


async def test_an_unpaid_order_closes_and_a_paid_one_does_not(bay):
    """Without its `orderType`, too: no description says that closing needs one."""
    await bay.stranger.json("unifiedorder")
    assert "00" == (await bay.stranger.json("closeOrder", orderType=None))["respCode"]
    assert "00" == (await bay.stranger.json("closeOrder"))["respCode"]
    assert "00" == (await bay.stranger.json("closeOrder"))["respCode"]
    assert "03" == (await bay.stranger.json("queryOrder"))["origRespCode"]
    paid = {"orderNo": "PAID0001"}
    await bay.stranger.json("micropay", **paid)
    assert "35" == (await bay.stranger.json("closeOrder", **paid))["respCode"]


@pytest.mark.parametrize("operation", ["queryOrder", "closeOrder"])
async def test_an_unknown_order_is_34_and_stays_unknown(bay, operation):
    assert "34" == (await bay.stranger.json(operation))["respCode"]
    assert "00" == (await bay.stranger.json("micropay"))["respCode"]


async def test_the_late_one_pays_after_the_close(bay):
    """9008: nothing is known, the close succeeds, and then the money turns up."""
    first = await bay.stranger.json("micropay", authCode="131234567890129008")
    assert "99" == first["respCode"]
    assert "99" == (await bay.stranger.json("queryOrder"))["respCode"]
    assert "00" == (await bay.stranger.json("closeOrder"))["respCode"]
    bay.advance(LATE_MS / 1000)
    assert "00" == (await bay.stranger.json("queryOrder"))["origRespCode"]


async def test_for_twenty_seconds_the_signature_is_wrong(bay):
    with pytest.raises(InvalidSignature):
        await bay.stranger.json("micropay", authCode="131234567890129010")
    with pytest.raises(InvalidSignature):
        await bay.stranger.json("queryOrder")
    bay.advance(21)
    assert "00" == (await bay.stranger.json("queryOrder"))["origRespCode"]


async def test_another_amount_is_reported_than_was_charged(bay):
    answer = await bay.stranger.json("micropay", authCode="131234567890129011")
    assert ("3900", 3800) == (answer["txnAmt"], bay.book().amount_minor)


# --- refunds ------------------------------------------------------------------------------------


def _refund(amount: str, number: str = "R0000001", **more: str) -> dict[str, str]:
    return {
        "orderNo": number,
        "origOrderNo": TRADE,
        "origTxnAmt": "3800",
        "txnAmt": amount,
        **more,
    }


async def test_refunds_add_up_to_what_was_paid_and_a_repeated_number_counts_once(bay):
    stranger = bay.stranger
    await stranger.json("micropay")
    for _ in range(2):
        first = await stranger.json("refund", **_refund("1000"))
        assert ("00", "1000") == (first["respCode"], first["txnAmt"])
    assert 1000 == bay.book().refunded_minor
    assert "36" == (await stranger.json("refund", **_refund("2801", "R0000002")))["respCode"]
    assert "00" == (await stranger.json("queryOrder"))["origRespCode"]
    assert "00" == (await stranger.json("refund", **_refund("2800", "R0000003")))["respCode"]
    assert "45" == (await stranger.json("refund", **_refund("1", "R0000004")))["respCode"]
    assert "01" == (await stranger.json("queryOrder"))["origRespCode"]
    assert 3800 == bay.book().refunded_minor


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"origTxnAmt": "3801"}, "36"),
        ({"origOrderNo": "NONE0001"}, "34"),
        ({"orderType": "alipay"}, "36"),
        ({"orderNo": TRADE}, "12"),
        ({"txnAmt": "0"}, "10"),
        ({"origOrderNo": None}, "13"),
    ],
    ids=str,
)
async def test_a_wrong_refund_is_refused(bay, changes, code):
    await bay.stranger.json("micropay")
    assert code == (await bay.stranger.json("refund", **(_refund("100") | changes)))["respCode"]
    assert 0 == bay.book().refunded_minor


async def test_a_refund_number_belongs_to_one_refund(bay):
    await bay.stranger.json("micropay")
    await bay.stranger.json("refund", **_refund("100"))
    assert "12" == (await bay.stranger.json("refund", **_refund("101")))["respCode"]
    assert "12" == (await bay.stranger.json("micropay", orderNo="R0000001"))["respCode"]


async def test_an_unpaid_order_is_not_refunded(bay):
    await bay.stranger.json("unifiedorder")
    answer = await bay.stranger.json("refund", **_refund("100", orderType="wechatJs"))
    assert "35" == answer["respCode"]


async def test_a_refund_is_asked_about(bay):
    stranger = bay.stranger
    await stranger.json("micropay")
    about = {"orderNo": "R0000001", "origOrderNo": TRADE}
    assert "34" == (await stranger.json("refundQuery", **about))["respCode"]
    await stranger.json("refund", **_refund("100"))
    answer = await stranger.json("refundQuery", **about)
    assert ("00", "00", "100") == (answer["respCode"], answer["origRespCode"], answer["txnAmt"])
    other = about | {"origOrderNo": "NONE0001"}
    assert "34" == (await stranger.json("refundQuery", **other))["respCode"]


@pytest.mark.parametrize(("amount", "made"), [("177", 177), ("178", 0)])
async def test_a_refunds_answer_or_its_request_is_lost(bay, amount, made):
    await bay.stranger.json("micropay")
    assert "99" == (await bay.stranger.json("refund", **_refund(amount)))["respCode"]
    assert made == bay.book().refunded_minor
    assert "00" == (await bay.stranger.json("refund", **_refund(amount)))["respCode"]
    assert int(amount) == bay.book().refunded_minor


# --- notifications ------------------------------------------------------------------------------


async def test_a_success_is_told_until_somebody_says_success(bay):
    """Another word, or another status, is no acknowledgment; the plan is 1, 2, 4, 5 minutes."""
    bay.inbox.answers = [(200, b"ok"), (500, b"success"), (200, b"success")]
    await bay.stranger.json("micropay", backUrl=bay.inbox.url)
    came = await bay.inbox.wait(3)
    for kind, fields in came:
        assert "application/json" == kind
        assert bay.stranger.check(fields)
        assert (TRADE, "3800") == (fields["orderNo"], fields["txnAmt"])
        assert fields["transIndex"]
    assert (60, 120, 240, 300) == bay.sandbox.courier._plan.delays_s


async def test_three_times_where_the_scene_says_so(bay):
    more = {"authCode": "131234567890129009", "backUrl": bay.inbox.url}
    await bay.stranger.json("micropay", **more)
    assert 3 == len(await bay.inbox.wait(3))


async def test_a_payer_acts_on_a_page_and_only_success_is_told(bay):
    for number in ("PAGE0001", "PAGE0002"):
        await bay.stranger.json("unifiedorder", orderNo=number, backUrl=bay.inbox.url)
    assert "" == bay.act("PAGE0001", "decline")
    assert "" == bay.act("PAGE0002", "pay")
    [(_, fields)] = await bay.inbox.wait(1)
    assert "PAGE0002" == fields["orderNo"]
    answer = await bay.stranger.json("queryOrder", orderNo="PAGE0001")
    assert "06" == answer["origRespCode"]


# --- the party ----------------------------------------------------------------------------------


async def test_credentials_are_those_of_the_contract(bay):
    names = {
        "serv_prov_id", "mer_id", "merchant_private_key_pem", "platform_public_key_pem",
        "cert_id", "merchant_certificate_pem", "platform_certificate_pem",
    }  # fmt: skip
    assert names == set(bay.sandbox.credentials())


def test_a_folder_keeps_the_party(tmp_path):
    def opened() -> dict[str, str]:
        sandbox = UnionpaySandbox(SandboxSettings(tmp_path), ManualClock(), Random(1))
        sandbox.books.close()
        return sandbox.credentials()

    first = opened()
    assert first == opened()
    assert 0o600 == (tmp_path / FILE).stat().st_mode & 0o777
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(Damaged):
        opened()
