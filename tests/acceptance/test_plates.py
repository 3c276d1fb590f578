"""Static plates (码牌): their records, and the page on which a payer keys the amount in."""

import re

import pytest
from msgspec.json import decode

from phone import Phone

ON_RAY_TOO = True
NEW = {"label": "Front counter"}


def put_up(shop, **fields):
    made = shop.client.post("/v1/qr_plates", {"store": shop.store, **NEW, **fields})
    assert made.status == 201, made
    return made


@pytest.fixture
def plate(shop):
    yield put_up(shop)
    # What stays open is polled for as long as others move the clock.
    for made in made_by(shop, status="requires_payer"):
        shop.cancel(made["id"])


def keyed_in(phone, plate, amount, **more):
    """The page after an amount was keyed in and sent."""
    return phone.press(phone.open(plate["url"]), amount=amount, **more)


def made_by(shop, **filters):
    """The merchant's payments, newest first."""
    query = "".join(f"&{name}={value}" for name, value in filters.items())
    return shop.client.get(f"/v1/payments?limit=20{query}")["data"]


def test_a_plate_has_an_address_and_a_picture(gateway, shop, plate):
    """Its code says the address; it takes payments from the first moment."""
    assert re.fullmatch(r"qrp_[0-9A-Z]{24}", plate["id"])
    assert {
        "id",
        "object",
        "created",
        "livemode",
        "metadata",
        "merchant",
        "store",
        "label",
        "status",
        "url",
        "payload",
        "image_svg_url",
    } == set(plate.body)
    assert ("qr_plate", shop.store, "active") == (plate["object"], plate["store"], plate["status"])
    assert plate["url"] == plate["payload"]
    assert plate["url"].startswith(f"{gateway.api}/p/")
    picture = Phone("safari").open(plate["image_svg_url"])
    assert (200, "image/svg+xml") == (picture.status, picture.headers["Content-Type"])
    assert picture.headers["Cache-Control"] == "private, max-age=86400"


def test_plates_are_read_listed_and_changed(shop, plate):
    """As every other object; a filter by store and status."""
    other = put_up(shop, label="Terrace", metadata={"table": "7"})

    listed = shop.client.get("/v1/qr_plates")
    changed = shop.client.post(f"/v1/qr_plates/{plate['id']}", {"status": "disabled"})

    assert [other["id"], plate["id"]] == [each["id"] for each in listed["data"]]
    assert listed["data"][1]["url"] == plate["url"]
    assert ("disabled", "Front counter") == (changed["status"], changed["label"])
    assert changed.body == shop.client.get(f"/v1/qr_plates/{plate['id']}").body
    active = shop.client.get(f"/v1/qr_plates?status=active&store={shop.store}")
    assert [other["id"]] == [each["id"] for each in active["data"]]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"label": "x"}, "store"),
        ({"store": "sto_nowhere"}, "label"),
        ({"store": "", "label": ""}, "label"),
        ({"store": "sto_1", "label": "x", "amount": 1}, "amount"),
        ({"store": "sto_1", "label": "4111 1111 1111 1111"}, "label"),
    ],
)
def test_a_wrong_plate_is_refused(shop, expect_problem, body, param):
    """The problem names the field."""
    expect_problem(shop.client.post("/v1/qr_plates", body), 422, "invalid_field", param)


def test_plates_belong_to_their_merchant(gateway, shop, plate, expect_problem):
    """Another merchant's plate and store do not exist."""
    other = gateway.new_shop()

    expect_problem(other.client.get(f"/v1/qr_plates/{plate['id']}"), 404, "not_found")
    expect_problem(
        other.client.post(f"/v1/qr_plates/{plate['id']}", {"status": "disabled"}), 404, "not_found"
    )
    wrong = other.client.post("/v1/qr_plates", {"store": shop.store, "label": "x"})
    expect_problem(wrong, 404, "not_found")
    assert other.client.get("/v1/qr_plates")["data"] == []


def test_the_payer_keys_the_amount_in_and_pays(shop, plate):
    """A payment of the plate's store, made by the page; then its own page, and paid."""
    phone = Phone("safari")
    page = keyed_in(phone, plate, "38.5")

    assert "¥38.50" in page.text
    (made,) = made_by(shop)
    assert ("static", "cashier", 3850, shop.store) == (
        made["entry"],
        made["way"],
        made["amount"],
        made["store"],
    )
    assert (made["subject"], made["metadata"]) == ("Front counter", {"qr_plate": plate["id"]})
    assert re.fullmatch(r"P[0-9A-Z]{24}", made["order_no"])
    assert made["risk"]["level"] == "D"
    phone.press(page)
    assert shop.read(made["id"], wait=10)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("typed", "minor"),
    [("38", 3800), ("0.01", 1), ("38.5", 3850), ("３８．５０", 3850), (" 12。3 ", 1230)],
)
def test_amounts_as_people_key_them_in(shop, plate, typed, minor):
    """Yuan, with or without fen, on whatever keyboard."""
    keyed_in(Phone("wechat"), plate, typed)

    assert [minor] == [made["amount"] for made in made_by(shop)]


@pytest.mark.parametrize("typed", ["", "0", "0.00", "-1", "1.234", "1e3", "many", "1,5", "9" * 9])
def test_what_is_no_amount_makes_no_payment(shop, plate, typed):
    """The page says so, and keeps what was keyed in."""
    page = keyed_in(Phone("safari"), plate, typed)

    assert "not an amount" in page.text
    assert made_by(shop) == []


def test_a_second_tap_makes_no_second_payment(shop, plate):
    """The page is the session: sent twice, it is one payment."""
    phone = Phone("safari")
    page = phone.open(plate["url"])

    first = phone.press(page, amount="38")
    second = phone.press(page, amount="38")

    assert first.url == second.url
    assert 1 == len(made_by(shop))


def test_a_page_shown_again_is_another_session(shop, plate):
    """The next guest pays too."""
    for _ in range(2):
        keyed_in(Phone("safari"), plate, "38")

    assert 2 == len(made_by(shop))


def test_another_amount_needs_another_session(shop, plate):
    """What was sent stands; the page is shown anew."""
    phone = Phone("safari")
    page = phone.open(plate["url"])
    phone.press(page, amount="38")

    other = phone.press(page, amount="83")

    assert "key the amount in again" in other.text
    assert [3800] == [made["amount"] for made in made_by(shop)]


def test_an_invented_or_old_session_makes_no_payment(gateway, shop, plate):
    """Only what we showed counts, and for an hour."""
    phone = Phone("safari")
    page = phone.open(plate["url"])
    gateway.clock.advance(3_700)

    old = phone.press(page, amount="38")
    invented = keyed_in(phone, plate, "38", session="0" * 40)

    assert "key the amount in again" in old.text
    assert "key the amount in again" in invented.text
    assert made_by(shop) == []


def test_a_disabled_plate_takes_nothing(shop, plate):
    """Neither a new page nor one that was open; enabled again, it does."""
    phone = Phone("safari")
    page = phone.open(plate["url"])
    shop.client.post(f"/v1/qr_plates/{plate['id']}", {"status": "disabled"})

    again = phone.open(plate["url"])
    late = phone.press(page, amount="38")

    assert (410, 410) == (again.status, late.status)
    assert "no longer in use" in again.text
    assert again.buttons == []
    assert made_by(shop) == []
    shop.client.post(f"/v1/qr_plates/{plate['id']}", {"status": "active"})
    assert phone.open(plate["url"]).status == 200


def test_a_suspended_merchants_plate_takes_nothing(gateway, shop, plate):
    """The page of an error, not a payment."""
    gateway.operator.post(f"/v1/merchants/{shop.id}", {"status": "suspended"})

    page = keyed_in(Phone("safari"), plate, "38")

    assert page.status == 403
    assert page.buttons == []


def test_what_is_over_the_limit_fails_visibly(shop, plate):
    """Risk refuses it: the payment's own page says so."""
    page = keyed_in(Phone("safari"), plate, "60000")

    (made,) = made_by(shop)
    assert ("failed", "limit_exceeded") == (made["status"], made["failure"]["code"])
    assert "Not paid" in page.text


def test_a_program_may_say_fen(shop, plate):
    """JSON, as everywhere in the API."""
    phone = Phone("safari")
    session = phone.open(plate["url"]).inputs[0]["value"]
    phone.headers["Accept"] = phone.headers["Content-Type"] = "application/json"

    seen = phone.send("POST", plate["url"] + "/pay", {"amount": 3800, "session": session})

    assert seen.status == 200
    assert (3800, "static") == tuple(decode(seen.content)[name] for name in ("amount", "entry"))


def test_an_unknown_plate_is_unknown(plate):
    """404, as for any made-up address."""
    page = Phone("safari").open(plate["url"][:-1] + ("0" if plate["url"][-1] != "0" else "1"))

    assert page.status == 404


def test_the_label_is_only_a_label(shop):
    """Whatever is written on it, it is text."""
    plate = put_up(shop, label='<img src=x onerror="alert(1)">')

    page = Phone("safari").open(plate["url"])

    assert '<img src=x onerror="alert(1)">' in page.text
    assert "img" not in page.tags
