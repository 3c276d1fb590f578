"""What the sandbox tells unasked, its keys, the errors on order, and the payer's pages."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from payments.channels.wechat import crypto, wire
from payments.channels.wechat.sandbox import RETRY_PLAN_S

NATIVE = "/v3/pay/transactions/native"
CODEPAY = "/v3/pay/transactions/codepay"
REFUNDS = "/v3/refund/domestic/refunds"
NUMBER = "order-0001"


async def pay_native(shop, *, by="public_key_id", **more):
    """`by`: the key that answers are asked for with; None: the request names none."""
    named = {"Wechatpay-Serial": shop.given[by]} if by else {}
    said = await shop.call("POST", NATIVE, shop.order(**more), headers=named)
    assert said.status == 200, said.body
    await shop.control("pay", {"out_trade_no": NUMBER})


def test_the_plan_lasts_a_day_and_four_minutes():
    assert (15, 24 * 3_600 + 4 * 60) == (len(RETRY_PLAN_S), sum(RETRY_PLAN_S))


async def test_a_payment_is_told_sealed_and_signed(shop):
    await pay_native(shop)

    told = await shop.callback()

    body = json.loads(told.body)
    assert ("TRANSACTION.SUCCESS", "encrypt-resource") == (
        body["event_type"],
        body["resource_type"],
    )
    assert "transaction" == body["resource"]["original_type"]
    plain = shop.opened(told)
    assert ("SUCCESS", NUMBER) == (plain["trade_state"], plain["out_trade_no"])
    assert 3800 == plain["amount"]["total"]
    seal = wire.parse_seal(told.headers)
    assert shop.given["public_key_id"] == seal.serial
    key = crypto.load_public_key(shop.given["public_key_pem"].encode())
    text = wire.answer_text(seal.timestamp, seal.nonce, told.body)
    assert crypto.verify(key, text, seal.signature)


async def test_what_is_not_acknowledged_comes_again_under_the_same_id(shop):
    shop.statuses = [500, 400, 302, 200]
    await pay_native(shop)

    told = [await shop.callback() for _ in range(4)]

    ids = {json.loads(one.body)["id"] for one in told}
    signatures = {one.headers["wechatpay-signature"] for one in told}
    assert (1, 4) == (len(ids), len(signatures))


async def test_only_successes_are_told(shop):
    await shop.call("POST", NATIVE, shop.order("order-0002"))
    await shop.control("decline", {"out_trade_no": "order-0002"})
    await shop.call("POST", CODEPAY, shop.codepay("order-0003"))
    await pay_native(shop)

    assert NUMBER == shop.opened(await shop.callback())["out_trade_no"]
    assert shop.heard.empty()


async def test_a_payment_made_twice_is_told_twice(shop):
    await shop.call("POST", NATIVE, shop.order())
    await shop.control("pay_twice", {"out_trade_no": NUMBER})

    first, second = await shop.callback(), await shop.callback()

    assert shop.opened(first) == shop.opened(second)


@pytest.mark.parametrize("partner", [False, True])
async def test_a_refund_is_told_in_its_own_words(shop, partner):
    path = CODEPAY.replace("pay/", "pay/partner/") if partner else CODEPAY
    await shop.call("POST", path, shop.codepay(partner=partner), partner=partner)
    body = {
        "out_trade_no": NUMBER,
        "out_refund_no": "r1",
        "notify_url": shop.notify_url,
        "amount": {"refund": 100, "total": 3800, "currency": "CNY"},
        "sub_mchid": shop.given["sub_mchid"] if partner else None,
    }
    said = await shop.call("POST", REFUNDS, body, partner=partner)

    told = await shop.callback()
    plain = shop.opened(told)

    assert 200 == said.status
    assert "REFUND.SUCCESS" == json.loads(told.body)["event_type"]
    assert ("SUCCESS", "r1") == (plain["refund_status"], plain["out_refund_no"])
    assert not {"status", "channel", "funds_account"} & set(plain)
    merchants = {name for name in plain if name.endswith("mchid")}
    assert ({"sp_mchid", "sub_mchid"} if partner else {"mchid"}) == merchants


async def test_probes_are_signed_wrongly_on_purpose(shop):
    await shop.control("faults", {"probe_ppm": 1_000_000})
    shop.statuses = [401, 204]
    await pay_native(shop)

    probe, told = await shop.callback(), await shop.callback()

    assert probe.headers["wechatpay-signature"].startswith("WECHATPAY/SIGNTEST/")
    with pytest.raises(wire.Probe):
        wire.parse_seal(probe.headers)
    assert NUMBER == shop.opened(told)["out_trade_no"]


# --- keys ------------------------------------------------------------------------------------


async def test_a_rotated_key_signs_callbacks_and_the_old_one_stays_valid(shop):
    old = shop.given["public_key_id"]
    told = await shop.control("keys", {"rotate": "public_key"})
    new = told["callbacks_signed_by"]
    await pay_native(shop)
    asked = {"Wechatpay-Serial": old}
    query = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={shop.given['mchid']}"
    said = await shop.call("GET", query, headers=asked)

    assert new != old
    assert new == (await shop.callback()).headers["wechatpay-serial"]
    assert old == said.headers["wechatpay-serial"]
    assert shop.verifies(said, "public_key_pem")


@pytest.mark.parametrize(
    ("by", "signer"),
    [
        ("public_key_id", "public_key_id"),
        ("platform_serial", "platform_serial"),
        (None, "platform_serial"),
    ],
)
async def test_callbacks_are_signed_like_the_answer_to_their_order(shop, by, signer):
    """A client that has only certificates, or only the public key, can verify them."""
    await pay_native(shop, by=by)

    assert shop.given[signer] == (await shop.callback()).headers["wechatpay-serial"]


async def test_callbacks_can_be_signed_by_a_certificate(shop):
    await shop.control("keys", {"callbacks": "certificate"})
    await pay_native(shop)

    assert shop.given["platform_serial"] == (await shop.callback()).headers["wechatpay-serial"]


@pytest.mark.parametrize("body", [{"rotate": "nothing"}, {"callbacks": 1}, {"what": "x"}])
async def test_a_wrong_change_of_keys_is_refused(shop, body):
    said = await shop.plain("POST", "/_sandbox/keys", json.dumps(body).encode())

    assert 400 == said.status


async def test_certificates_open_with_the_api_key_and_verify_their_own_answer(shop):
    await shop.control("keys", {"rotate": "certificate"})
    said = await shop.call("GET", "/v3/certificates")
    pems = {}
    for one in said.json["data"]:
        box = one["encrypt_certificate"]
        plain = crypto.unseal(
            shop.given["api_v3_key"].encode(),
            box["nonce"],
            box["associated_data"],
            box["ciphertext"],
        )
        pems[one["serial_no"]] = plain
        assert "certificate" == box["associated_data"]
        assert one["serial_no"] == crypto.serial_of(plain)
        assert 40 == len(one["serial_no"])
    seal = wire.parse_seal(said.headers)
    key = crypto.load_public_key(pems[seal.serial])

    assert 2 == len(pems)
    assert shop.given["platform_serial"] in pems
    assert crypto.verify(
        key, wire.answer_text(seal.timestamp, seal.nonce, said.body), seal.signature
    )


@pytest.mark.parametrize(("kind", "count"), [("RSA", 1), ("ALL", 1), ("SM2", 0)])
async def test_certificates_of_one_algorithm(shop, kind, count):
    said = await shop.call("GET", f"/v3/certificates?algorithm_type={kind}")

    assert count == len(said.json["data"])


async def test_no_such_algorithm(shop):
    said = await shop.call("GET", "/v3/certificates?algorithm_type=DSA")

    assert (400, "PARAM_ERROR") == (said.status, said.code)


@pytest.mark.parametrize("body", [{"code": "NO_SUCH"}, {"code": "RULE_LIMIT", "times": 0}, {}])
async def test_only_documented_errors_can_be_ordered(shop, body):
    said = await shop.plain("POST", "/_sandbox/errors", json.dumps(body).encode())

    assert 400 == said.status


# --- the payer -------------------------------------------------------------------------------

TOKEN = "/sns/oauth2/access_token?appid={}&secret=s&code={}&grant_type=authorization_code"


async def consent(shop, payer="anna"):
    back = "redirect_uri=http%3A%2F%2Fshop%2Fp%3Fa%3D1"
    said = await shop.plain("GET", f"/_sandbox/oauth/authorize?{back}&state=s%261&payer={payer}")
    back = urlsplit(said.headers["location"])
    assert (302, "http", "shop", "/p") == (said.status, back.scheme, back.netloc, back.path)
    query = parse_qs(back.query)
    assert (["1"], ["s&1"]) == (query["a"], query["state"])
    return query["code"][0]


async def test_a_consent_gives_the_payers_openid_once(shop):
    codes = [await consent(shop), await consent(shop), await consent(shop, "bert")]
    appid = shop.given["appid"]
    first, second, other = [
        (await shop.plain("GET", TOKEN.format(appid, code))).json for code in codes
    ]
    used = (await shop.plain("GET", TOKEN.format(appid, codes[0]))).json

    assert first["openid"] == second["openid"] != other["openid"]
    assert {"access_token", "expires_in", "refresh_token", "openid", "scope"} == set(first)
    assert 40029 == used["errcode"]


async def test_a_code_expires_and_is_of_one_app(shop):
    stale, foreign = await consent(shop), await consent(shop)
    other = (await shop.plain("GET", TOKEN.format(shop.given["sp_appid"], foreign))).json
    shop.clock.advance(301)
    late = (await shop.plain("GET", TOKEN.format(shop.given["appid"], stale))).json
    nobody = (await shop.plain("GET", TOKEN.format("wx0", stale))).json

    assert (40029, 40029, 40013) == (other["errcode"], late["errcode"], nobody["errcode"])


async def test_a_redirection_needs_an_address(shop):
    said = await shop.plain("GET", "/_sandbox/oauth/authorize?redirect_uri=javascript:x")

    assert 400 == said.status


async def test_the_page_behind_an_h5_url_pays_and_goes_back(shop):
    scene = {"payer_client_ip": "1.2.3.4", "h5_info": {"type": "Wap"}}
    body = shop.order(scene_info=scene, description="<b>soup</b>")
    url = (await shop.call("POST", "/v3/pay/transactions/h5", body)).json["h5_url"]
    target = url.removeprefix(shop.url) + "&redirect_url=https%3A%2F%2Fshop%2Fdone"
    page = await shop.plain("GET", target)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    back = await shop.plain("POST", target, b"verb=pay", form)
    forged = await shop.plain("GET", target.replace("prepay_id=wx", "prepay_id=wy"))

    assert (200, 303, 404) == (page.status, back.status, forged.status)
    assert b"&lt;b&gt;soup" in page.body
    assert "https://shop/done" == back.headers["location"]
    assert "SUCCESS" == shop.opened(await shop.callback())["trade_state"]
