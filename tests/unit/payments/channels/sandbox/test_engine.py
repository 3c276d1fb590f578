"""The last four digits decide, row by row; money is taken once and never given back twice."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from payments.channels.sandbox.turns import AskedRefund, Kind, RefundKind
from payments.channels.simulated.endings import BARCODE_ENDINGS
from payments.payment import Discount

TAKEN = (3800, 0, "paid", 1)
OPEN = (3800, 0, "unpaid", 0)
OVER = (3800, 0, "closed", 0)
UNDONE = (3800, 3800, "reversed", 1)

# ending, answer to the payment call, query at once and after 25 s, books then,
# answer to a reverse after that, books 10 s later
ROWS: list[tuple[Any, ...]] = [
    ("0000", "paid", "paid", "paid", TAKEN, "reversed", UNDONE),
    ("9001", "awaiting", "awaiting", "paid", TAKEN, "reversed", UNDONE),
    ("9002", "awaiting", "awaiting", "awaiting", OPEN, "closed", OVER),
    ("9003", "declined", "declined", "declined", OVER, "declined", OVER),
    ("9004", "declined", "declined", "declined", OVER, "declined", OVER),
    ("9005", "error", "paid", "paid", TAKEN, "reversed", UNDONE),
    ("9006", "silent", "paid", "paid", TAKEN, "reversed", UNDONE),
    ("9007", "silent", "absent", "absent", None, "closed", (0, 0, "closed", 0)),
    ("9008", "error", "error", "error", OPEN, "closed", TAKEN),
    ("9009", "paid", "paid", "paid", TAKEN, "reversed", UNDONE),
    ("9010", "paid", "paid", "paid", TAKEN, "reversed", UNDONE),
    ("9011", "paid", "paid", "paid", TAKEN, "reversed", UNDONE),
    ("9012", "paid", "paid", "paid", TAKEN, "reversed", UNDONE),
]


def test_every_ending_has_a_row() -> None:
    assert {row[0] for row in ROWS[1:]} == BARCODE_ENDINGS


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_table_of_test_mode(row: tuple[Any, ...], desk: Any) -> None:
    """What the channel answers, what it says when asked, and what it really took."""
    ending, answer, at_once, later, books, undo, in_the_end = row
    assert answer == desk.pay(ending).kind
    assert at_once == desk.engine.inquire("N1").kind
    desk.clock.advance(25)
    assert later == desk.engine.inquire("N1").kind
    assert books == desk.book()
    assert undo == desk.engine.reverse("N1").kind
    desk.clock.advance(10)
    assert in_the_end == desk.book()


def test_9003_and_9004_say_why(desk: Any) -> None:
    assert desk.pay("9003", "A1").failure == "insufficient_funds"
    assert desk.pay("9004", "A2").failure == "auth_code_expired"
    assert "expired" in desk.engine.inquire("A2").message


def test_9009_is_told_three_times_and_others_once(desk: Any) -> None:
    desk.pay("9009", "A1")
    desk.pay("0000", "A2")
    assert desk.news == [("paid", "A1", 3), ("paid", "A2", 1)]


def test_9010_signs_wrongly_for_twenty_seconds(desk: Any) -> None:
    assert desk.pay("9010").unsigned
    desk.clock.advance(19.999)
    assert desk.engine.inquire("N1").unsigned
    desk.clock.advance(0.001)
    assert not desk.engine.inquire("N1").unsigned


def test_9011_reports_another_amount_and_takes_the_right_one(desk: Any) -> None:
    assert desk.pay("9011").amount == 3900
    assert desk.engine.inquire("N1").amount == 3900
    assert desk.book() == TAKEN


def test_9012_pays_with_coupons(desk: Any) -> None:
    turn = desk.pay("9012")
    assert (turn.amount, turn.payer_amount, turn.settle_amount) == (3800, 3300, 3600)
    assert turn.discounts == (Discount("channel", 300), Discount("merchant", 200))
    small = desk.pay("9012", "A2", amount=500)
    assert (small.amount, small.payer_amount, small.settle_amount) == (500, 500, 500)


def test_the_pin_is_entered_at_its_own_instant(desk: Any) -> None:
    start = desk.clock.now_ms()
    desk.pay("9001")
    assert desk.engine.next_due() == start + 3000
    desk.clock.advance(60)
    assert desk.engine.inquire("N1").known.paid_ms == start + 3000
    assert desk.engine.next_due() is None


def test_9008_pays_after_a_close_too(desk: Any) -> None:
    """A channel without a reverse closes, and the money turns up after that."""
    desk.pay("9008")
    assert desk.engine.close("N1").kind == Kind.CLOSED
    assert desk.engine.inquire("N1").kind == Kind.CLOSED
    desk.clock.advance(3)
    assert desk.engine.inquire("N1").kind == Kind.PAID
    assert desk.refund("R1", 3800).kind == RefundKind.MADE
    assert desk.book() == (3800, 3800, "paid", 1)


# --- The same number again ---------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["0000", "9001", "9003", "9005", "9006", "9009"])
def test_the_same_order_again_gets_the_same_answer_and_no_charge(ending: str, desk: Any) -> None:
    first = desk.pay(ending)
    charges = desk.book()
    assert desk.pay(ending).kind == first.kind
    assert desk.book() == charges


@pytest.mark.parametrize("other", [{"amount": 3801}, {"fingerprint": "other"}])
def test_the_number_with_other_parameters_is_refused(other: dict[str, Any], desk: Any) -> None:
    desk.pay()
    assert desk.pay(**other).kind == Kind.USED
    assert desk.book() == TAKEN


def test_a_number_that_is_over_stays_over(desk: Any) -> None:
    desk.pay("9002")
    desk.engine.close("N1")
    assert desk.pay("9002").kind == Kind.CLOSED
    desk.pay("0000", "N2")
    desk.engine.reverse("N2")
    assert desk.pay("0000", "N2").kind == Kind.REVERSED


def test_a_sealed_number_cannot_be_paid_later(desk: Any) -> None:
    """A payment call that is overtaken by its own reverse finds the door shut."""
    assert desk.engine.reverse("N1").kind == Kind.CLOSED
    assert desk.pay().kind == Kind.CLOSED
    assert desk.book() == (0, 0, "closed", 0)


def test_a_channel_may_leave_absent_numbers_alone(desk: Any) -> None:
    assert desk.engine.reverse("N1", seal=False).kind == Kind.ABSENT
    assert desk.engine.close("N1", seal=False).kind == Kind.ABSENT
    assert desk.pay().kind == Kind.PAID


def test_numbers_belong_to_merchants(desk: Any) -> None:
    desk.pay(merchant="m1")
    assert desk.engine.inquire("N1", "m2").kind == Kind.ABSENT
    assert desk.pay("9002", merchant="m2").kind == Kind.AWAITING
    assert len(desk.engine.find("N1")) == 2
    assert [order.merchant for order in desk.engine.find("N1", "m2")] == ["m2"]


def test_numbers_of_the_channel_are_found_again(desks: Callable[..., Any]) -> None:
    desk = desks(order_number=lambda ms, serial: f"42{serial:08d}")
    turn = desk.pay()
    assert turn.known.trade_no == "4200000001"
    assert desk.engine.by_trade_no("4200000001") is turn.known
    _, refund = desk.refund("R1", 1).known
    assert desk.engine.refund_by_trade_no(refund.trade_no) is refund


# --- Codes and the payer -----------------------------------------------------------------------


def test_a_code_waits_and_expires(desk: Any) -> None:
    expires = desk.clock.now_ms() + 300_000
    assert desk.pay("", expires_ms=expires).kind == Kind.AWAITING
    desk.clock.advance(299.999)
    assert desk.engine.inquire("N1").kind == Kind.AWAITING
    desk.clock.advance(1)
    turn = desk.engine.inquire("N1")
    assert (turn.kind, turn.known.ended_ms) == (Kind.CLOSED, expires)


def act(desk: Any, verb: str, number: str = "N1") -> str:
    (order,) = desk.engine.find(number)
    return str(desk.engine.act(order, verb))


def test_the_payer_pays_once(desk: Any) -> None:
    desk.pay("")
    assert act(desk, "pay") == ""
    assert act(desk, "pay") == "the order is paid"
    assert desk.book() == TAKEN
    assert desk.engine.close("N1").kind == Kind.PAID


def test_paying_twice_is_one_charge_and_two_callbacks(desk: Any) -> None:
    desk.pay("")
    assert act(desk, "pay_twice") == ""
    assert desk.news == [("paid", "N1", 2)]
    assert desk.book() == TAKEN


def test_the_payer_declines(desk: Any) -> None:
    desk.pay("")
    assert act(desk, "decline") == ""
    assert desk.engine.inquire("N1").failure == "declined"
    assert act(desk, "pay_late") == "the order is closed"


def test_paying_late_comes_after_the_channel_said_over(desk: Any) -> None:
    desk.pay("")
    assert act(desk, "pay_late") == ""
    desk.clock.advance(60)
    assert desk.engine.inquire("N1").kind == Kind.AWAITING
    assert desk.engine.close("N1").kind == Kind.CLOSED
    desk.clock.advance(2.999)
    assert desk.engine.inquire("N1").kind == Kind.CLOSED
    desk.clock.advance(0.001)
    assert desk.engine.inquire("N1").kind == Kind.PAID


def test_paying_late_starts_when_a_query_says_that_the_code_expired(desk: Any) -> None:
    """Nobody was told that it is over: the money does not come late before that."""
    desk.pay("", expires_ms=desk.clock.now_ms() + 1000)
    act(desk, "pay_late")
    desk.clock.advance(60)
    assert desk.engine.next_due() is not None
    desk.engine.wake()
    assert desk.engine.next_due() is None
    assert desk.engine.inquire("N1").kind == Kind.CLOSED
    desk.clock.advance(3)
    assert desk.engine.inquire("N1").kind == Kind.PAID


# --- Refunds -----------------------------------------------------------------------------------


def test_refunds_never_exceed_what_was_paid(desk: Any) -> None:
    desk.pay()
    assert desk.refund("R1", 3000).kind == RefundKind.MADE
    assert desk.refund("R2", 801).kind == RefundKind.EXCEEDS
    assert desk.refund("R2", 800).kind == RefundKind.MADE
    assert desk.refund("R3", 1).kind == RefundKind.EXCEEDS
    assert desk.book() == (3800, 3800, "paid", 1)
    assert desk.engine.reverse("N1").kind == Kind.REFUNDED


def test_the_same_refund_again_is_made_once(desk: Any) -> None:
    desk.pay()
    assert not desk.refund("R1", 1000).again
    assert desk.refund("R1", 1000).again
    assert desk.refund("R1", 1001).kind == RefundKind.USED
    assert desk.refund("R1", 1000, fingerprint="other").kind == RefundKind.USED
    assert desk.book() == (3800, 1000, "paid", 1)
    assert [kind for kind, *_ in desk.news] == ["paid", "refunded"]


def test_a_refund_number_is_unique_in_the_merchant_or_in_the_order(
    desks: Callable[..., Any],
) -> None:
    within_merchant, within_order = desks(), desks(refunds_per_order=True)
    for desk in (within_merchant, within_order):
        desk.pay()
        desk.pay(number="N2")
        desk.refund("R1", 100)
    assert within_merchant.refund("R1", 100, out_trade_no="N2").kind == RefundKind.USED
    assert within_order.refund("R1", 100, out_trade_no="N2").kind == RefundKind.MADE
    assert within_order.engine.inquire_refund("R1", "N1").known[0].number == "N1"


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"out_trade_no": "N9"}, RefundKind.ABSENT),
        ({"total": 3900}, RefundKind.MISMATCH),
        ({"amount": 0}, RefundKind.MISMATCH),
        ({"amount": -5}, RefundKind.MISMATCH),
        ({"out_trade_no": "U1"}, RefundKind.UNPAID),
    ],
)
def test_refunds_that_cannot_be(asked: dict[str, Any], kind: RefundKind, desk: Any) -> None:
    desk.pay()
    desk.pay("9002", "U1")
    assert kind == desk.refund("R1", **{"amount": 100, **asked}).kind
    assert desk.engine.inquire_refund("R1").kind == RefundKind.ABSENT


def test_a_refund_whose_answer_is_lost_was_made(desk: Any) -> None:
    desk.pay()
    assert desk.refund("R1", 177).kind == RefundKind.ERROR
    assert desk.engine.inquire_refund("R1").kind == RefundKind.MADE
    assert desk.refund("R1", 177).kind == RefundKind.MADE
    assert desk.book() == (3800, 177, "paid", 1)


def test_a_refund_whose_request_is_lost_is_made_when_asked_again(desk: Any) -> None:
    desk.pay()
    assert desk.refund("R1", 178).kind == RefundKind.ERROR
    assert desk.engine.inquire_refund("R1").kind == RefundKind.ABSENT
    assert desk.book() == TAKEN
    assert desk.refund("R1", 178).kind == RefundKind.MADE
    assert desk.book() == (3800, 178, "paid", 1)


def test_a_refund_may_take_its_time(desks: Callable[..., Any]) -> None:
    desk = desks(refund_ms=5000)
    desk.pay()
    assert desk.refund("R1", 3800).kind == RefundKind.PROCESSING
    assert desk.refund("R2", 1).kind == RefundKind.EXCEEDS
    assert desk.book() == TAKEN
    desk.clock.advance(5)
    assert desk.engine.inquire_refund("R1").kind == RefundKind.MADE
    assert desk.book() == (3800, 3800, "paid", 1)


def test_refunds_have_limits(desks: Callable[..., Any]) -> None:
    desk = desks(refunds_max=2, refund_days_max=365)
    desk.pay()
    assert [desk.refund(f"R{i}", 1).kind for i in range(3)][2] == RefundKind.TOO_MANY
    desk.pay(number="N2")
    desk.clock.advance(365 * 86_400 + 1)
    assert desk.refund("R9", 1, out_trade_no="N2").kind == RefundKind.TOO_LATE


def test_a_full_refund_in_parts_gives_the_payer_back_what_was_paid(desk: Any) -> None:
    desk.pay("9012")
    parts = [desk.refund(f"R{i}", amount).known[1].payer_amount for i, amount in enumerate(PARTS)]
    assert sum(parts) == 3300


PARTS = (1, 999, 1300, 1500)


@pytest.mark.parametrize("seed", range(30))
def test_money_adds_up_whatever_is_asked(seed: int, desk: Any) -> None:
    """A random walk: one charge at most, refunds within it, and the news agree with the books."""
    random = Random(seed)
    news: list[Any] = []
    desk.engine.listeners.append(news.append)
    desk.pay(random.choice(["0000", "9001", "9002", "9005", "9008", "9012", ""]))
    for step in range(40):
        walk(desk, random, step)
        amount, refunded, state, charges = desk.book()
        assert charges in (0, 1), f"seed {seed}"
        assert 0 <= refunded <= amount * charges, f"seed {seed}"
        assert (state in ("paid", "reversed")) == (charges == 1), f"seed {seed}"
    assert charges == sum(one.kind == "paid" for one in news), f"seed {seed}"
    given_back = sum(one.refund.amount for one in news if one.kind == "refunded")
    assert refunded == (amount if state == "reversed" else given_back), f"seed {seed}"


def walk(desk: Any, random: Random, step: int) -> None:
    """One step of anybody: merchant, payer, time."""
    draw = random.random()
    if draw < 0.3:
        desk.engine.refund(AskedRefund("N1", f"R{step % 30}", random.randrange(1, 2000)))
    elif draw < 0.5:
        act(desk, random.choice(["pay", "decline", "pay_late", "pay_twice"]))
    elif draw < 0.7:
        desk.clock.advance(random.randrange(5))
    elif draw < 0.75:
        desk.engine.reverse("N1")
    elif draw < 0.8:
        desk.engine.close("N1")
    else:
        desk.engine.inquire("N1")
