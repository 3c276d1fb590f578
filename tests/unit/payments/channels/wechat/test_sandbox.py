"""The sandbox answers as WeChat Pay's documents say, whoever asks."""

import json

import pytest

DIRECT, PARTNER = "/v3/pay/transactions", "/v3/pay/partner/transactions"
REFUNDS = "/v3/refund/domestic/refunds"
NUMBER = "order-0001"


# --- the door --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"headers": {"Authorization": None}}, "格式错误"),
        ({"headers": {"Authorization": "WECHATPAY2-SHA256-RSA2048 mchid=1"}}, "格式错误"),
        ({"headers": {"Authorization": "WECHATPAY2-SM2-WITH-SM3 x"}}, "认证类型"),
        ({"timestamp": 1}, "5分钟"),
        ({"mchid": "1999999999"}, "商户号"),
        ({"serial": "00AA"}, "证书序列号"),
        ({"signed": "/v3/another"}, "验签失败"),
    ],
)
async def test_an_unsigned_or_wrongly_signed_request_is_told_why(shop, changes, message):
    said = await shop.call("GET", shop.query_of(), **changes)

    assert (401, "SIGN_ERROR") == (said.status, said.code)
    assert message in said.json["message"]
    assert said.json["detail"]["location"] == "authorization"
    assert "wechatpay-signature" not in said.headers


async def test_the_clock_is_looked_at_before_the_signature(shop):
    said = await shop.call("GET", shop.query_of(), timestamp=1, signed="/v3/another")

    assert "5分钟" in said.json["message"]


@pytest.mark.parametrize("seconds", [-300, 299])
async def test_five_minutes_are_near_enough(shop, seconds):
    stamp = shop.clock.real_ms() // 1000 + seconds

    assert (await shop.call("GET", shop.query_of(), timestamp=stamp)).code == "ORDER_NOT_EXIST"


@pytest.mark.parametrize("name", ["Accept", "User-Agent"])
async def test_a_request_names_what_it_accepts_and_who_it_is(shop, name):
    said = await shop.call("GET", shop.query_of(), headers={name: "" if name == "Accept" else None})

    assert (400, "PARAM_ERROR") == (said.status, said.code)


async def test_paths_and_methods_that_are_not_there_have_empty_answers(shop):
    nowhere = await shop.call("GET", "/v3/pay/nowhere")
    wrong = await shop.call("DELETE", f"{DIRECT}/native")

    assert (404, b"", 405, b"") == (nowhere.status, nowhere.body, wrong.status, wrong.body)


async def test_an_answer_is_signed_with_the_key_that_was_asked_for(shop):
    body = shop.order()
    by_default = await shop.call("POST", f"{DIRECT}/native", body)
    public = {"Wechatpay-Serial": shop.given["public_key_id"]}
    by_key = await shop.call("POST", f"{DIRECT}/native", body, headers=public)
    certificate = {"Wechatpay-Serial": shop.given["platform_serial"]}
    by_certificate = await shop.call("POST", f"{DIRECT}/native", body, headers=certificate)
    wrong = {"Wechatpay-Serial": "PUB_KEY_ID_0"}
    refused = await shop.call("POST", f"{DIRECT}/native", body, headers=wrong)

    assert shop.verifies(by_default)
    assert shop.verifies(by_key, "public_key_pem")
    assert not shop.verifies(by_key)
    assert shop.verifies(by_certificate)
    assert by_key.headers["wechatpay-signature-type"] == "WECHATPAY2-SHA256-RSA2048"
    assert by_key.headers["wechatpay-serial"] == shop.given["public_key_id"]
    assert by_key.headers["request-id"]
    assert (400, "PARAM_ERROR") == (refused.status, refused.code)


# --- parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("native", {"description": None}, "/description"),
        ("native", {"description": "x" * 128}, "/description"),
        ("native", {"description": 5}, "/description"),
        ("native", {"out_trade_no": "short"}, "/out_trade_no"),
        ("native", {"out_trade_no": "x" * 33}, "/out_trade_no"),
        ("native", {"out_trade_no": "with blank"}, "/out_trade_no"),
        ("native", {"notify_url": None}, "/notify_url"),
        ("native", {"notify_url": "http://example.com/x"}, "/notify_url"),
        ("native", {"notify_url": "https://example.com/x?y=1"}, "/notify_url"),
        ("native", {"notify_url": "https://example.com/" + "x" * 255}, "/notify_url"),
        ("native", {"amount": None}, "/amount"),
        ("native", {"amount": {}}, "/amount/total"),
        ("native", {"amount": {"total": 0}}, "/amount/total"),
        ("native", {"amount": {"total": 1.5}}, "/amount/total"),
        ("native", {"amount": {"total": "100"}}, "/amount/total"),
        ("native", {"amount": {"total": True}}, "/amount/total"),
        ("native", {"amount": {"total": 1, "currency": "XYZ"}}, "/amount/currency"),
        ("native", {"time_expire": "tomorrow"}, "/time_expire"),
        ("native", {"time_expire": "2020-01-01T00:00:00+08:00"}, "/time_expire"),
        ("native", {"attach": "x" * 129}, "/attach"),
        ("native", {"support_fapiao": "yes"}, "/support_fapiao"),
        ("native", {"limit_pay": ["no_money"]}, "/limit_pay/0"),
        ("native", {"scene_info": {}}, "/scene_info/payer_client_ip"),
        ("native", {"detail": {"goods_detail": [{}]}}, "/detail/goods_detail/0/merchant_goods_id"),
        ("jsapi", {}, "/payer"),
        ("jsapi", {"payer": {}}, "/payer/openid"),
        ("h5", {}, "/scene_info"),
        ("h5", {"scene_info": {"payer_client_ip": "1.2.3.4"}}, "/scene_info/h5_info"),
        ("codepay", {"payer": {}}, "/payer/auth_code"),
        ("codepay", {"scene_info": None}, "/scene_info"),
        ("codepay", {"scene_info": {}}, "/scene_info/store_info"),
        ("codepay", {"scene_info": {"store_info": {}}}, "/scene_info/store_info/id"),
    ],
)
async def test_a_wrong_field_is_named(shop, kind, change, field):
    body = (shop.codepay() if kind == "codepay" else shop.order()) | change

    said = await shop.call("POST", f"{DIRECT}/{kind}", body)

    assert (400, "PARAM_ERROR") == (said.status, said.code)
    assert field == said.json["detail"]["field"]
    assert said.json["detail"]["issue"]
    assert said.json["detail"]["location"] == "body"


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'"x"', b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(shop, raw):
    said = await shop.call("POST", f"{DIRECT}/native", raw)

    assert (400, "PARAM_ERROR") == (said.status, said.code)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"appid": "wx0000000000000000"}, 400, "APPID_MCHID_NOT_MATCH"),
        ({"mchid": "1000000000"}, 400, "MCH_NOT_EXISTS"),
        ({"mchid": "1900000100"}, 403, "NO_AUTH"),
    ],
)
async def test_merchant_and_app_must_be_the_callers(shop, change, status, code):
    said = await shop.call("POST", f"{DIRECT}/native", shop.order() | change)

    assert (status, code) == (said.status, said.code)


async def test_a_partner_names_its_sub_merchant(shop):
    body = shop.order(partner=True) | {"sub_mchid": "1"}
    unknown = await shop.call("POST", f"{PARTNER}/native", body, partner=True)
    direct = await shop.call("POST", f"{PARTNER}/native", shop.order(partner=True))

    assert (400, "MCH_NOT_EXISTS") == (unknown.status, unknown.code)
    assert (403, "NO_AUTH") == (direct.status, direct.code)


async def test_a_query_names_its_merchant(shop):
    said = await shop.call("GET", shop.query_of().partition("?")[0])

    assert ("PARAM_ERROR", "query") == (said.code, said.json["detail"]["location"])


# --- orders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("partner", [False, True])
@pytest.mark.parametrize(
    ("kind", "more", "name", "beginning"),
    [
        ("native", {}, "code_url", "weixin://wxpay/bizpayurl/up?pr="),
        ("app", {}, "prepay_id", "wx"),
        ("jsapi", {"payer": {"openid": "o1", "sp_openid": "o1"}}, "prepay_id", "wx"),
        (
            "h5",
            {"scene_info": {"payer_client_ip": "1.2.3.4", "h5_info": {"type": "Wap"}}},
            "h5_url",
            "http://127.0.0.1:",
        ),
    ],
)
async def test_an_order_is_shown_and_then_paid(shop, kind, more, name, beginning, partner):
    path = PARTNER if partner else DIRECT
    body = shop.order(partner=partner, attach="table 5", **more)
    shown = await shop.call("POST", f"{path}/{kind}", body, partner=partner)
    again = await shop.call("POST", f"{path}/{kind}", body, partner=partner)
    before = await shop.call("GET", shop.query_of(partner=partner), partner=partner)
    await shop.control("pay", {"out_trade_no": NUMBER})
    after = await shop.call("GET", shop.query_of(partner=partner), partner=partner)
    number = after.json["transaction_id"]
    query = shop.query_of(partner=partner).partition("?")[2]
    by_id = await shop.call("GET", f"{path}/id/{number}?{query}", partner=partner)

    assert shown.json[name].startswith(beginning)
    assert shown.json == again.json
    assert before.json["trade_state"] == "NOTPAY"
    assert not {"transaction_id", "payer", "success_time"} & set(before.json)
    assert after.json["trade_state"] == "SUCCESS"
    assert after.json["amount"]["total"] == 3800
    assert after.json["attach"] == "table 5"
    assert shop.parties(partner=partner).items() <= after.json.items()
    assert (28, "42") == (len(number), number[:2])
    assert after.json["payer"]
    assert by_id.json == after.json


async def test_other_parameters_under_the_same_number_are_refused(shop):
    await shop.call("POST", f"{DIRECT}/native", shop.order())
    for change in ({"description": "x"}, {"amount": {"total": 1, "currency": "CNY"}}):
        said = await shop.call("POST", f"{DIRECT}/native", shop.order() | change)
        assert (403, "OUT_TRADE_NO_USED") == (said.status, said.code)


async def test_the_order_of_the_fields_is_no_other_parameter(shop):
    body = shop.order()
    turned = dict(reversed(body.items()))

    first = await shop.call("POST", f"{DIRECT}/native", body)

    assert first.json == (await shop.call("POST", f"{DIRECT}/native", turned)).json


async def test_a_close_is_signed_over_nothing_and_may_be_repeated(shop):
    await shop.call("POST", f"{DIRECT}/native", shop.order())
    body = {"mchid": shop.given["mchid"]}
    for _ in range(2):
        said = await shop.call("POST", f"{DIRECT}/out-trade-no/{NUMBER}/close", body)
        assert (204, b"") == (said.status, said.body)
        assert shop.verifies(said)
    state = await shop.call("GET", shop.query_of())
    late = await shop.call("POST", f"{DIRECT}/native", shop.order())

    assert state.json["trade_state"] == "CLOSED"
    assert (400, "ORDER_CLOSED") == (late.status, late.code)


async def test_a_paid_order_cannot_be_closed_and_not_opened_again(shop):
    await shop.call("POST", f"{DIRECT}/native", shop.order())
    await shop.control("pay", {"out_trade_no": NUMBER})
    body = {"mchid": shop.given["mchid"]}

    close = await shop.call("POST", f"{DIRECT}/out-trade-no/{NUMBER}/close", body)
    again = await shop.call("POST", f"{DIRECT}/native", shop.order())

    assert ("ORDERPAID", "ORDERPAID") == (close.code, again.code)


async def test_what_nobody_ordered_is_not_there(shop):
    body = {"mchid": shop.given["mchid"]}
    close = await shop.call("POST", f"{DIRECT}/out-trade-no/{NUMBER}/close", body)
    query = await shop.call("GET", shop.query_of())
    by_id = await shop.call("GET", f"{DIRECT}/id/42001?mchid={shop.given['mchid']}")

    assert {(404, "ORDER_NOT_EXIST")} == {(s.status, s.code) for s in (close, query, by_id)}


async def test_an_order_ends_at_its_time(shop):
    end = {"time_expire": "2099-01-01T00:00:00+08:00"}
    await shop.call("POST", f"{DIRECT}/native", shop.order("order-0001"))
    await shop.call("POST", f"{DIRECT}/native", shop.order("order-0002", **end))
    shop.clock.advance(7_200)

    first = await shop.call("GET", shop.query_of(number="order-0001"))
    second = await shop.call("GET", shop.query_of(number="order-0002"))

    assert ("CLOSED", "NOTPAY") == (first.json["trade_state"], second.json["trade_state"])


# --- payment codes ---------------------------------------------------------------------------


@pytest.mark.parametrize("partner", [False, True])
async def test_a_payment_code_is_charged_at_once_and_reversed(shop, partner):
    path = PARTNER if partner else DIRECT
    body = shop.codepay(partner=partner)
    said = await shop.call("POST", f"{path}/codepay", body, partner=partner)
    again = await shop.call("POST", f"{path}/codepay", body, partner=partner)
    undo = shop.parties(partner=partner)
    reversed_ = await shop.call(
        "POST", f"{path}/out-trade-no/{NUMBER}/reverse", undo, partner=partner
    )
    state = await shop.call("GET", shop.query_of(partner=partner), partner=partner)

    assert ("SUCCESS", "MICROPAY") == (said.json["trade_state"], said.json["trade_type"])
    assert said.json == again.json
    assert reversed_.json == undo | {"out_trade_no": NUMBER}
    assert state.json["trade_state"] == "REVOKED"


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [("9003", 403, "NOT_ENOUGH"), ("9004", 400, "AUTHCODEEXPIRE"), ("9005", 500, "SYSTEM_ERROR")],
)
async def test_endings_that_are_refusals(shop, ending, status, code):
    said = await shop.call("POST", f"{DIRECT}/codepay", shop.codepay(ending=ending))

    assert (status, code) == (said.status, said.code)
    assert "wechatpay-signature" not in said.headers


async def test_a_payer_who_is_asked_for_a_pin(shop):
    said = await shop.paid(ending="9001")
    shop.clock.advance(3)

    assert said["trade_state"] == "USERPAYING"
    assert (await shop.call("GET", shop.query_of())).json["trade_state"] == "SUCCESS"


async def test_an_answer_that_is_signed_wrongly_for_twenty_seconds(shop):
    said = await shop.call("POST", f"{DIRECT}/codepay", shop.codepay(ending="9010"))
    query = await shop.call("GET", shop.query_of())
    shop.clock.advance(20)
    later = await shop.call("GET", shop.query_of())

    assert [False, False, True] == [shop.verifies(answer) for answer in (said, query, later)]


async def test_coupons_say_who_pays_them(shop):
    said = await shop.paid(ending="9012")
    coupons = {c["type"]: c for c in said["promotion_detail"]}

    assert 3300 == said["amount"]["payer_total"]
    assert 300 == coupons["CASH"]["wechatpay_contribute"] == coupons["CASH"]["amount"]
    assert 200 == coupons["NOCASH"]["merchant_contribute"] == coupons["NOCASH"]["amount"]


async def test_a_code_of_another_wallet_is_refused(shop):
    body = shop.codepay() | {"payer": {"auth_code": "281234567890123456"}}

    assert (await shop.call("POST", f"{DIRECT}/codepay", body)).code == "AUTH_CODE_INVALID"


async def test_reversing_a_number_that_never_came_closes_it_for_ever(shop):
    path = f"{DIRECT}/out-trade-no/{NUMBER}/reverse"
    said = await shop.call("POST", path, shop.parties())
    late = await shop.call("POST", f"{DIRECT}/codepay", shop.codepay())

    assert 200 == said.status
    assert (await shop.call("GET", shop.query_of())).json["trade_state"] == "REVOKED"
    assert (400, "ORDER_CLOSED") == (late.status, late.code)


async def test_only_payment_codes_are_reversed_and_not_after_a_refund(shop):
    await shop.call("POST", f"{DIRECT}/native", shop.order())
    shown = await shop.call("POST", f"{DIRECT}/out-trade-no/{NUMBER}/reverse", shop.parties())
    await shop.paid("order-0002")
    await shop.call("POST", REFUNDS, shop.refund_of("order-0002"))
    undo = await shop.call("POST", f"{DIRECT}/out-trade-no/order-0002/reverse", shop.parties())

    assert ("INVALID_REQUEST", "TRADE_ERROR") == (shown.code, undo.code)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RULE_LIMIT", 403),
        ("TRADE_ERROR", 403),
        ("USER_ACCOUNT_ABNORMAL", 403),
        ("FREQUENCY_LIMITED", 429),
        ("RATELIMIT_EXCEEDED", 429),
        ("SERVICE_UNAVAILABLE", 503),
        ("USERPAYING", 202),
        ("NO_STATEMENT_EXIST", 400),
    ],
)
async def test_any_documented_error_can_be_asked_for(shop, code, status):
    await shop.control("errors", {"code": code, "operation": "pay", "times": 2})
    other = await shop.call("GET", shop.query_of())
    first, second, third = [
        await shop.call("POST", f"{DIRECT}/codepay", shop.codepay()) for _ in range(3)
    ]

    assert "ORDER_NOT_EXIST" == other.code
    assert [(status, code)] * 2 == [(said.status, said.code) for said in (first, second)]
    assert 200 == third.status


# --- what is kept ----------------------------------------------------------------------------


async def test_a_restart_forgets_nothing(folder, open_shop):
    async with open_shop() as shop:
        before = await shop.paid()
        given = shop.given
    async with open_shop() as shop:
        assert given == shop.given
        assert before == (await shop.call("GET", shop.query_of())).json


async def test_keys_are_for_their_owner_alone(shop, folder):
    assert 0o600 == (folder / "wechat_keys.json").stat().st_mode & 0o777


async def test_the_books_say_what_was_taken(shop):
    await shop.paid()
    await shop.call("POST", REFUNDS, shop.refund_of())

    books = json.loads((await shop.plain("GET", "/_sandbox/books")).body)

    assert [
        {
            "out_trade_no": NUMBER,
            "amount_minor": 3800,
            "refunded_minor": 100,
            "state": "paid",
            "charges": 1,
        }
    ] == books
