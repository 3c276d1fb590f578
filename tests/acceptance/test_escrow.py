"""Escrow as a merchant meets it: held with the payment, let go in parts, by itself at last."""

from datetime import UTC, datetime, timedelta


def held_and_pending(shop):
    """(frozen, pending) of the shop, in cny."""
    (row,) = shop.client.get("/v1/balances")["data"]
    return row["frozen"], row["pending"]


def release(shop, payment, body, key):
    return shop.client.post(f"/v1/payments/{payment}/release", body, key=key)


def test_a_payment_is_held_and_let_go_in_two_parts(shop, gateway):
    """¥100.00 at a fee of 38: 9962 are held; 4000 are let go, then the rest, each once."""
    paid = shop.paid(amount=10_000, escrow=True)
    assert (9_962, 0) == held_and_pending(shop)

    first = release(shop, paid["id"], {"amount": 4_000}, "first")
    again = release(shop, paid["id"], {"amount": 4_000}, "first")
    assert (201, 4_000, 5_962) == (first.status, first["amount"], first["held"])
    assert (first.body, "true") == (again.body, again.headers["Idempotent-Replayed"])
    assert (5_962, 4_000) == held_and_pending(shop)

    more = release(shop, paid["id"], {"amount": 5_963}, "more")
    assert (422, "exceeds_paid") == (more.status, more["code"])
    rest = release(shop, paid["id"], {}, "rest")
    assert (5_962, 0) == (rest["amount"], rest["held"])
    assert (0, 9_962) == held_and_pending(shop)
    nothing = release(shop, paid["id"], {}, "nothing")
    assert (409, "conflict") == (nothing.status, nothing["code"])
    assert gateway.counts()["entries"]


def test_a_refund_takes_from_what_is_held(shop):
    paid = shop.paid(amount=10_000, escrow=True)

    shop.refund(paid["id"], amount=5_000)

    assert (4_981, 0) == held_and_pending(shop)


def test_an_end_must_be_within_thirty_days(shop):
    at = datetime.now(UTC) + timedelta(days=60)

    refused = shop.pay(escrow=True, escrow_release_at=at.isoformat())

    assert (422, "/escrow_release_at") == (refused.status, refused["errors"][0]["pointer"])
