"""One code for all wallets over real wires: the wallet names its payer, one attempt at a time."""

import base64
import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from phone import Phone

WALLETS = ("wechat", "alipay", "unionpay")
OAUTH = {"wechat": "/_sandbox/oauth/authorize", "alipay": "/oauth2/publicAppAuthorize.htm"}
PATIENCE_S = 60


@pytest.fixture(scope="module")
def demo(kit, tmp_path_factory):
    """One demo over three sandboxes for all tests here."""
    made = kit.Deployment(tmp_path_factory.mktemp("cashier") / "data", "local")
    made.command = ["demo", "--rate", "0"]
    made.start()
    yield made
    made.close()


@pytest.fixture
def shop(demo):
    return demo.new_shop()


@pytest.fixture
def made(shop):
    """A cashier payment that nobody has opened."""
    answer = shop.pay(way="cashier", subject="Lunch")
    assert (answer.status, answer["status"]) == (201, "requires_payer"), answer
    return answer


def kinds(shop, payment):
    """The story of a payment, as (what, detail)."""
    answer = shop.client.get(f"/v1/payments/{payment}/timeline")
    return [(line["kind"], line.get("detail", "")) for line in answer["data"]]


def orders(shop, payment):
    """(channel, state, charges) of every order that channels have of a payment."""
    found = []
    for wallet in WALLETS:
        rows = shop.gateway.books(wallet)
        found += [
            (wallet, row["state"], row["charges"])
            for number, row in sorted(rows.items())
            if payment[-24:] in number
        ]
    return found


def settled(shop, payment, statuses):
    until = time.monotonic() + PATIENCE_S
    while (found := shop.read(payment, wait=5))["status"] not in statuses:
        assert time.monotonic() < until, found
    return found


def begun(phone, made):
    """The page once its wallet was chosen and said who pays."""
    return phone.press(phone.open(made["pay_url"]))


def sheet(page):
    return json.loads(page.state())["client_params"]


def test_a_code_for_all_wallets_asks_no_channel(shop, made):
    """It says our own page; which channel, nobody knows yet."""
    assert made["code"]["payload"] == made["pay_url"]
    assert (made["wallet"], made["channel"], made["client_params"]) == (None, None, None)
    assert orders(shop, made["id"]) == []


@pytest.mark.parametrize("wallet", WALLETS)
def test_each_wallets_browser_pays_in_its_wallet(shop, made, wallet):
    """The page knows the wallet; one button; the wallet's own sheet; paid once."""
    phone = Phone(wallet)
    first = phone.open(made["pay_url"])
    assert len(first.buttons) == 1

    page = phone.press(first)

    assert page.status == 200
    assert "Confirm the payment" in page.text
    assert sheet(page)
    assert [(wallet, "unpaid", 0)] == orders(shop, made["id"])
    phone.press(page)  # In test mode: the payer confirms.
    paid = settled(shop, made["id"], ("succeeded",))
    assert (wallet, wallet) == (paid["wallet"], paid["channel"])
    assert [(wallet, "paid", 1)] == orders(shop, made["id"])
    assert "Paid" in phone.open(made["pay_url"]).text


@pytest.mark.parametrize("wallet", ["wechat", "alipay"])
def test_the_wallet_is_asked_who_pays(made, wallet):
    """By its OAuth; the code comes back to the page, and does not stay in its address."""
    phone = Phone(wallet)
    page = begun(phone, made)

    there, back, last = phone.visited[-3:]
    assert OAUTH[wallet] in there
    code = {"wechat": "code", "alipay": "auth_code"}[wallet]
    assert code in parse_qs(urlsplit(back).query)
    assert last == f"GET {made['pay_url']}"
    assert urlsplit(page.url).query == ""


def test_a_phone_without_cookies_can_pay_too(shop, made):
    """Its OAuth code stands for it, while this page stands."""
    phone = Phone("wechat", cookies=False)

    page = begun(phone, made)

    assert sheet(page)
    assert [("wechat", "unpaid", 0)] == orders(shop, made["id"])


def test_an_oauth_code_counts_once(shop, made):
    """Loaded again, it begins nothing new; made up, it begins nothing at all."""
    phone = Phone("wechat")
    begun(phone, made)
    back = next(url for url in phone.visited if "code=" in url).partition(" ")[2]

    again = phone.open(back)
    stranger = Phone("wechat").open(back)
    forged = Phone("wechat").open(back.replace("state=wechat.", "state=alipay."))

    assert sheet(again)
    assert "did not say who pays" in stranger.text
    assert sheet(forged) is None
    assert [("wechat", "unpaid", 0)] == orders(shop, made["id"])


@pytest.mark.parametrize(("first", "second"), [("wechat", "alipay"), ("alipay", "unionpay")])
def test_another_wallet_closes_the_first_attempt_before_it_begins(shop, made, first, second):
    """Closed, confirmed by the channel, then the next is sent: never two that could be paid."""
    begun(Phone(first), made)
    other = Phone(second)

    page = begun(other, made)

    assert sheet(page)
    assert sorted([(first, "closed", 0), (second, "unpaid", 0)]) == sorted(orders(shop, made["id"]))
    story = [line for line in kinds(shop, made["id"]) if line[0] != "inquired"]
    assert [
        ("sending", first),
        ("code_shown", ""),
        ("chosen", second),
        ("closing", "1"),
        ("attempt_closed", ""),
        ("sending", second),
        ("code_shown", ""),
    ] == story[-7:]
    other.press(page)
    paid = settled(shop, made["id"], ("succeeded",))
    assert (second, 3800) == (paid["channel"], paid["payer_amount"])
    assert sorted([(first, "closed", 0), (second, "paid", 1)]) == sorted(orders(shop, made["id"]))


def test_the_same_payer_goes_on_in_another_browser(shop, made):
    """The wallet knows them: the same order, the same sheet."""
    first = sheet(begun(Phone("alipay"), made))

    second = sheet(begun(Phone("alipay"), made))

    assert first == second
    assert [("alipay", "unpaid", 0)] == orders(shop, made["id"])


@pytest.mark.parametrize("wallet", ["wechat", "alipay"])
def test_another_payer_closes_the_first_ones_attempt(shop, made, wallet):
    """Two phones with the same wallet: an order is for one payer."""
    first = sheet(begun(Phone(wallet), made))

    second = sheet(begun(Phone(wallet, payer="somebody else"), made))

    assert second != first
    assert [(wallet, "closed", 0), (wallet, "unpaid", 0)] == orders(shop, made["id"])


def test_a_wallet_change_that_finds_it_paid_is_a_success(shop, made):
    """The first payer was faster: the second one's choice is void, and nobody pays twice."""
    first = Phone("wechat")
    page = begun(first, made)
    second = Phone("alipay")
    asking = second.open(made["pay_url"])
    first.press(page)

    late = second.press(asking)

    paid = settled(shop, made["id"], ("succeeded",))
    assert paid["channel"] == "wechat"
    assert [("wechat", "paid", 1)] == orders(shop, made["id"])
    assert late.status == 200


def test_the_payer_declines(shop, made):
    """The second button in test mode; the page says so."""
    phone = Phone("wechat")
    page = begun(phone, made)

    phone.press(page, 1)

    over = settled(shop, made["id"], ("failed", "closed"))
    assert [("wechat", "closed", 0)] == orders(shop, made["id"])
    assert phone.open(made["pay_url"]).buttons == [], over


def test_any_other_browser_is_told_what_may_scan(made):
    """And in test mode it may play a wallet's phone."""
    page = Phone("safari").open(made["pay_url"])

    assert "choose a wallet" in page.text
    assert list(WALLETS) == [one["value"] for one in page.buttons]


def test_a_cancel_closes_the_open_attempt(shop, made):
    """Confirmed by the channel."""
    begun(Phone("wechat"), made)

    canceled = shop.cancel(made["id"])

    assert (200, "closed") == (canceled.status, canceled["status"]), canceled
    assert [("wechat", "closed", 0)] == orders(shop, made["id"])


def test_expiry_closes_the_open_attempt(demo, shop):
    """At the channel too: closed, and the order number is free again."""
    made = shop.pay(way="cashier", expires_in=60)
    begun(Phone("alipay"), made)

    demo.clock.advance(90)

    over = settled(shop, made["id"], ("closed",))
    assert not over["late_success"]
    assert shop.paid(order_no=over["order_no"])


@pytest.mark.parametrize("wallet", WALLETS)
def test_a_test_may_act_for_a_payer_who_never_came(shop, made, wallet):
    """The helper makes somebody up: the payment is paid as if a phone had been there."""
    if wallet != "wechat":
        begun(Phone(wallet), made)  # The wallet that is open is the one that pays.
    else:
        assert orders(shop, made["id"]) == []

    acted = shop.client.post(f"/v1/test_helpers/payments/{made['id']}/pay", {})

    assert acted.status == 200, acted
    assert settled(shop, made["id"], ("succeeded",))["channel"] == wallet


def test_a_refund_finds_the_order_that_was_paid(shop, made):
    """After a wallet change the paid order is the second one."""
    begun(Phone("wechat"), made)
    other = Phone("alipay")
    other.press(begun(other, made))
    settled(shop, made["id"], ("succeeded",))

    refund = shop.refund(made["id"], 1_300, wait=30)

    assert refund["status"] == "succeeded", refund
    (row,) = [
        row for number, row in shop.gateway.books("alipay").items() if made["id"][-24:] in number
    ]
    assert row["refunded_minor"] == 1_300


# --- What starts a wallet, asked by the merchant's own app or page -------------------------------


def wechat_key(demo):
    """The merchant's key: with it the wallet's SDK would find the signature right."""
    return load_pem_private_key((demo.data / "sandboxes" / "wechat-key.pem").read_bytes(), None)


def verified(key, text, signature):
    try:
        key.public_key().verify(base64.b64decode(signature), text.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def test_wechats_page_parameters_are_signed_as_its_script_wants(demo, shop):
    """appId, timeStamp, nonceStr and package, each with its line end; signType is not signed."""
    made = shop.pay(way="jsapi", wallet="wechat", payer={"openid": "oTest000000000000000000001"})

    params = made["client_params"]
    assert {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"} == set(params)
    assert (params["signType"], params["package"][:10]) == ("RSA", "prepay_id=")
    text = "".join(f"{params[name]}\n" for name in ("appId", "timeStamp", "nonceStr", "package"))
    assert verified(wechat_key(demo), text, params["paySign"])
    assert (made["code"], made["pay_url"]) == (None, None)


def test_wechats_app_parameters_are_signed_as_its_sdk_wants(demo, shop):
    """The bare prepay id is signed, and `package` is its fixed word."""
    made = shop.pay(way="app", wallet="wechat")

    params = made["client_params"]
    assert params["package"] == "Sign=WXPay"
    text = "".join(f"{params[name]}\n" for name in ("appid", "timestamp", "noncestr", "prepayid"))
    assert verified(wechat_key(demo), text, params["sign"])


def test_h5_has_an_address(shop):
    """For the payer's browser, back to the shop afterwards."""
    made = shop.pay(way="h5", wallet="wechat", return_url="https://shop.example/done")

    assert made["pay_url"].startswith("http")
    assert "shop.example" in made["pay_url"]
    assert made["client_params"] is None


def test_alipays_page_needs_the_trade_alone(shop):
    """tradeNO, for tradePay."""
    made = shop.pay(way="jsapi", wallet="alipay", payer={"openid": "2088000000000001"})

    assert ["tradeNO"] == list(made["client_params"])


@pytest.mark.parametrize("way", ["jsapi", "app", "h5"])
def test_what_starts_a_wallet_is_gone_with_the_payment(shop, way):
    """Paid or canceled, nobody starts it any more."""
    payer = {"payer": {"openid": "oTest000000000000000000001"}} if way == "jsapi" else {}
    made = shop.pay(way=way, wallet="wechat", **payer)

    over = shop.cancel(made["id"])

    assert (over["status"], over["client_params"], over["pay_url"]) == ("closed", None, None)
