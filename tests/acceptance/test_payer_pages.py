"""The payer's page of a channel that takes every wallet by itself: what it shows, and to whom."""

import base64
import hashlib
import http.client
import json
import re
from urllib.parse import urlsplit

import pytest

from phone import Phone

ON_RAY_TOO = True


@pytest.fixture
def shown(shop):
    made = shop.pay(way="cashier", subject="Beef noodles <b>&amp; tea", expires_in=600)
    yield made
    shop.cancel(made["id"])


@pytest.fixture
def phone():
    return Phone("safari")


def plain(method, url, body=None, **headers):
    """Status, headers and body, as a program sees them."""
    split = urlsplit(url)
    connection = http.client.HTTPConnection(split.netloc, timeout=60)
    try:
        connection.request(method, split.path, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def test_the_page_says_who_asks_for_how_much(shop, shown, phone):
    """The shop's name, the amount in yuan, what for, the order; and one big button."""
    page = phone.open(shown["pay_url"])

    assert page.status == 200
    assert "¥38.00" in page.text
    assert "Noodles" in page.text
    assert shown["order_no"] in page.text
    assert "Beef noodles <b>&amp; tea" in page.text
    assert "b" not in page.tags
    assert "no real money moves" in page.text
    assert len([one for one in page.buttons if one.get("name")]) == 1


def test_nothing_comes_from_elsewhere_and_nothing_else_runs(shown, phone):
    """The policy names the page's own style and script by their hashes, and forbids the rest."""
    page = phone.open(shown["pay_url"])
    policy = page.headers["Content-Security-Policy"]
    text = page.content.decode()
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL).group(1)

    assert policy.startswith("default-src 'none';")
    for piece in (style, script):
        digest = base64.b64encode(hashlib.sha256(piece.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(?:src|href)=|url\(|@import| on[a-z]+=", text)
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store"
    assert 'name="viewport"' in text


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        ("en-US,en;q=0.9", "Pay"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "确认支付"),
        ("fr, en;q=0.5, zh;q=0.4", "Pay"),
        ("", "确认支付"),
        ("fr", "确认支付"),
        ("en;q=nonsense, zh;q=0.1", "确认支付"),
    ],
)
def test_the_page_speaks_the_payers_language(shown, accepted, words):
    """Chinese or English, whichever is wanted more; Chinese for whoever wants neither."""
    page = Phone("safari", accepted).open(shown["pay_url"])

    assert words in page.text


def test_the_payer_pays_and_sees_it(shop, shown, phone):
    """The button pays, in test mode; then the page says so, and has no button any more."""
    page = phone.open(shown["pay_url"])
    phone.press(page)
    assert shop.read(shown["id"], wait=10)["status"] == "succeeded"

    after = phone.open(shown["pay_url"])

    assert "Paid" in after.text
    assert after.buttons == []
    assert (1, 3800) == tuple(shop.charged(shown["id"])[name] for name in ("charges", "kept"))


def test_paying_again_pays_nothing(shop, shown, phone):
    """A second tap, or a second phone."""
    page = phone.open(shown["pay_url"])
    phone.press(page)
    assert shop.read(shown["id"], wait=10)["status"] == "succeeded"

    again = phone.press(page)

    assert "This order is over" in again.text
    assert (1, 3800) == tuple(shop.charged(shown["id"])[name] for name in ("charges", "kept"))


def test_a_paid_page_leads_back_to_the_shop(shop, phone):
    """Where the merchant said where that is."""
    made = shop.pay(way="cashier", return_url="https://shop.example/done?order=1&x=2")
    phone.press(phone.open(made["pay_url"]))
    shop.read(made["id"], wait=10)

    page = phone.open(made["pay_url"])

    assert "Back to the shop" in page.text
    assert 'href="https://shop.example/done?order=1&amp;x=2"' in page.content.decode()


def test_a_canceled_page_is_closed(shop, shown, phone):
    """Whoever opens it is told, and cannot pay."""
    shop.cancel(shown["id"])

    page = phone.open(shown["pay_url"])

    assert "closed" in page.text
    assert page.buttons == []


def test_an_expired_page_is_closed(gateway, shop, phone):
    """After its expiry."""
    made = shop.pay(way="cashier", expires_in=30)
    gateway.clock.advance(100)
    shop.read(made["id"])

    page = phone.open(made["pay_url"])

    assert "closed" in page.text
    assert page.buttons == []


@pytest.mark.parametrize("change", ["mac", "body", "short", "words", "qr"])
def test_an_unknown_page_is_a_page(shop, shown, phone, change):
    """404, in the payer's language; a code of one wallet has no page either."""
    token = shown["pay_url"].rpartition("/")[2]
    if change == "qr":
        made = shop.pay(way="qr", wallet="alipay", expires_in=30)
        wrong = made["code"]["image_svg_url"].split("/p/")[1].split("/")[0]
    else:
        wrong = {
            "mac": token[:-1] + ("0" if token[-1] != "0" else "1"),
            "body": ("0" if token[0] != "0" else "1") + token[1:],
            "short": token[:24],
            "words": "%3Cscript%3E",
        }[change]

    page = phone.open(shown["pay_url"].replace(token, wrong))

    assert page.status == 404
    assert "scan the code again" in page.text
    assert "script" not in page.tags


def test_the_script_can_ask_how_it_stands(shown):
    """JSON, for the page's own origin; nothing in it that the page does not show."""
    status, headers, body = plain("GET", shown["pay_url"] + "/status")

    assert (200, "application/json") == (status, headers["Content-Type"])
    told = json.loads(body)
    assert ("requires_payer", 3800) == (told["status"], told["amount"])
    assert told["client_params"] is None


def test_programs_get_problems_not_pages(shown):
    """Who asks for JSON is answered in JSON."""
    url = shown["pay_url"][:-1] + "!"
    status, headers, body = plain("GET", url, Accept="application/json")

    assert (404, "application/problem+json") == (status, headers["Content-Type"])
    assert json.loads(body)["code"] == "not_found"


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"&".join(b"a%d=1" % n for n in range(40)), b"act=%00", b"act=steal"]
)
def test_a_bad_form_changes_nothing(shop, shown, body):
    """Too many fields, bytes that are no form, verbs that are none."""
    kind = "application/x-www-form-urlencoded"
    status, _, _ = plain("POST", shown["pay_url"] + "/pay", body, **{"Content-Type": kind})

    assert status in (200, 400, 422)
    assert shop.read(shown["id"])["status"] == "requires_payer"


def test_the_name_of_a_shop_is_only_a_name(gateway, phone):
    """Whatever a merchant is called, it is text."""
    shop = gateway.new_shop(name='"><script>alert(1)</script>')
    made = shop.pay(way="cashier", subject="</script><script>alert(2)</script>", expires_in=30)

    page = phone.open(made["pay_url"])

    assert '"><script>alert(1)</script>' in page.text
    assert page.content.decode().count("<script") == 2
    assert "</script><script>alert(2)" not in page.state()
