"""Codes that a shop shows: one wallet's (qr) or everybody's (cashier), until paid or over."""

import http.client
import io
import re
import xml.etree.ElementTree as ElementTree
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import segno

from business_time import instant

ON_RAY_TOO = True

SVG = "{http://www.w3.org/2000/svg}"
PAST_EXPIRY_S = 100


def fetched(url):
    """Status, type and body of what a browser gets without any key."""
    split = urlsplit(url)
    connection = http.client.HTTPConnection(split.netloc, timeout=60)
    try:
        connection.request("GET", split.path)
        reply = connection.getresponse()
        return reply.status, reply.headers["Content-Type"], reply.read()
    finally:
        connection.close()


def drawn(svg):
    """The dark modules of a code drawn as strokes: the set of (row, column)."""
    path = next(ElementTree.fromstring(svg).iter(f"{SVG}path")).attrib["d"]
    dark, x, y = set(), 0.0, 0.0
    for verb, numbers in re.findall(r"([MmHh])([-0-9. ]+)", path):
        values = [float(number) for number in re.findall(r"-?[0-9.]+", numbers)]
        if verb == "M":
            x, y = values
        elif verb == "m":
            x, y = x + values[0], y + values[1]
        else:
            end = x + values[0] if verb == "h" else values[0]
            dark |= {(int(y), column) for column in range(int(x), int(end))}
            x = end
    return dark


def expected(payload):
    """The dark modules of the code of a text, with the quiet zone counted."""
    code = segno.make(payload, micro=False, error="m")
    rows = list(code.matrix_iter(border=code.default_border_size))
    return {(r, c) for r, row in enumerate(rows) for c, bit in enumerate(row) if bit}


@pytest.fixture(params=["qr", "cashier"])
def way(request):
    return request.param


@pytest.fixture
def shown(shop, way):
    """A payment whose code is shown."""
    fields = {"wallet": "wechat"} if way == "qr" else {}
    made = shop.pay(way=way, **fields)
    yield made
    shop.cancel(made["id"])  # What stays open is polled for as long as others move the clock.


@pytest.fixture
def brief(shop, way):
    """The same, for half a minute only."""
    fields = {"wallet": "wechat"} if way == "qr" else {}
    return shop.pay(way=way, expires_in=30, **fields)


def test_a_code_is_answered_at_once(shown, way, kit):
    """201, requires_payer, with a code that expires after five minutes."""
    assert (201, "requires_payer") == (shown.status, shown["status"]), shown
    assert shown["way"] == way
    assert shown["wallet"] == ("wechat" if way == "qr" else None)
    assert set(shown["code"]) == {"payload", "image_svg_url", "expires_at"}
    created = instant(shown["created"])
    assert instant(shown["expires_at"]) - created == timedelta(seconds=300)
    assert instant(shown["code"]["expires_at"]) <= instant(shown["expires_at"])
    assert shown["fee"] == 0
    assert shown["net"] is None


def test_a_cashier_code_leads_to_the_payers_page(gateway, shop):
    """Its payload is `pay_url`; a wallet's own code has no page."""
    cashier = shop.pay(way="cashier", expires_in=30)
    qr = shop.pay(way="qr", wallet="alipay", expires_in=30)

    assert cashier["pay_url"] == cashier["code"]["payload"]
    assert cashier["pay_url"].startswith(f"{gateway.api}/p/")
    assert qr["pay_url"] is None
    assert qr["code"]["payload"]


def test_the_picture_shows_the_payload(shown):
    """The SVG, fetched without a key, has the modules of the payload's code and no others."""
    status, kind, svg = fetched(shown["code"]["image_svg_url"])

    assert (200, "image/svg+xml") == (status, kind)
    assert drawn(svg) == expected(shown["code"]["payload"])
    assert io.BytesIO(svg).read(4) == b"<svg"


def test_a_picture_may_be_kept_for_a_minute(shown):
    """What it says never changes; only the one who asked may keep it."""
    split = urlsplit(shown["code"]["image_svg_url"])
    connection = http.client.HTTPConnection(split.netloc, timeout=60)
    try:
        connection.request("GET", split.path)
        assert "private, max-age=60" == connection.getresponse().headers["Cache-Control"]
    finally:
        connection.close()


def test_a_picture_needs_its_whole_token(shown):
    """Nobody finds a code by guessing from an id."""
    url = shown["code"]["image_svg_url"]
    token = url.split("/p/")[1].split("/")[0]
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")

    assert fetched(url.replace(token, wrong))[0] == 404
    assert fetched(url.replace(token, token[:24]))[0] == 404


def test_the_payer_pays(shop, shown):
    """Succeeded, with its fee; the code is gone, and its picture too."""
    helped = shop.client.post(f"/v1/test_helpers/payments/{shown['id']}/pay")
    assert helped.status == 200, helped

    paid = shop.read(shown["id"], wait=10)

    assert ("succeeded", 14, 3786) == (paid["status"], paid["fee"], paid["net"])
    assert paid["code"] is None
    assert fetched(shown["code"]["image_svg_url"])[0] == 404
    assert (1, 3800) == tuple(shop.charged(shown["id"])[name] for name in ("charges", "kept"))


def test_the_payer_declines(shop, shown):
    """Failed, declined; nothing was taken."""
    shop.client.post(f"/v1/test_helpers/payments/{shown['id']}/decline")

    over = shop.read(shown["id"], wait=10)

    assert ("failed", "declined") == (over["status"], (over["failure"] or {}).get("code"))
    assert shop.charged(shown["id"])["charges"] == 0


def test_a_payer_who_pays_twice_pays_once(shop, shown):
    """The second try finds the order paid."""
    shop.client.post(f"/v1/test_helpers/payments/{shown['id']}/pay_twice")

    assert shop.read(shown["id"], wait=10)["status"] == "succeeded"
    assert (1, 3800) == tuple(shop.charged(shown["id"])[name] for name in ("charges", "kept"))


def test_a_code_that_nobody_pays_is_closed(gateway, shop, brief):
    """After its expiry, confirmed by the channel; the order is free again."""
    gateway.clock.advance(PAST_EXPIRY_S)

    over = shop.read(brief["id"])

    assert ("closed", False) == (over["status"], over["overdue"])
    assert over["code"] is None
    assert shop.paid(order_no=over["order_no"])


def test_a_code_paid_after_its_end_is_given_back(gateway, shop, brief):
    """Closed stays closed: late_success, and the money goes back by itself."""
    helped = shop.client.post(f"/v1/test_helpers/payments/{brief['id']}/pay_late")
    assert helped.status == 200, helped
    gateway.clock.advance(PAST_EXPIRY_S)

    over = shop.read(brief["id"])

    assert ("closed", True) == (over["status"], over["late_success"])
    (refund,) = shop.refunds_of(brief["id"])
    assert ("succeeded", 3800) == (refund["status"], refund["amount"])
    assert (1, 0) == tuple(shop.charged(brief["id"])[name] for name in ("charges", "kept"))


def test_a_shown_code_can_be_canceled(shop, shown, expect_problem):
    """Closed at the channel: who scans it now is turned away."""
    canceled = shop.cancel(shown["id"])

    assert (200, "closed") == (canceled.status, canceled["status"]), canceled
    assert shop.charged(shown["id"])["states"] == ["closed"]
    late = shop.client.post(f"/v1/test_helpers/payments/{shown['id']}/pay")
    expect_problem(late, 409, "conflict")
    assert shop.read(shown["id"])["status"] == "closed"


def test_a_paid_code_is_refunded_not_canceled(shop, shown, expect_problem):
    """Cancel gives only barcode payments back."""
    shop.client.post(f"/v1/test_helpers/payments/{shown['id']}/pay")
    assert shop.read(shown["id"], wait=10)["status"] == "succeeded"

    expect_problem(shop.cancel(shown["id"]), 409, "not_cancelable")
    assert shop.refund(shown["id"])["status"] == "succeeded"


def test_a_shorter_expiry_is_kept(gateway, shop, kit):
    """`expires_in` seconds, and not more."""
    made = shop.pay(way="qr", wallet="alipay", expires_in=60)

    created = instant(made["created"])
    assert instant(made["expires_at"]) - created == timedelta(seconds=60)
    gateway.clock.advance(90)
    assert shop.read(made["id"])["status"] == "closed"


def test_an_order_whose_code_is_shown_is_in_progress(shop, shown, expect_problem):
    """Two codes for one order would be two chances to pay it."""
    expect_problem(shop.pay(order_no=shown["order_no"]), 409, "order_in_progress")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"way": "qr"}, "wallet"),
        ({"way": "qr", "wallet": "alipay", "auth_code": "280000000000000001"}, "auth_code"),
        ({"way": "barcode", "auth_code": None}, "auth_code"),
        ({"way": "jsapi", "wallet": "wechat"}, "payer.openid"),
        ({"way": "qr", "wallet": "alipay", "expires_in": 0}, "expires_in"),
        ({"way": "qr", "wallet": "paypal"}, "wallet"),
    ],
)
def test_each_way_needs_its_own_fields(shop, expect_problem, fields, param):
    """The problem names the field."""
    expect_problem(shop.pay(**fields), 422, "invalid_field", param)
