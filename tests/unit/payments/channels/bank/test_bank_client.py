"""The client at the real sandbox: what it says of a payment is so, and a repeat pays once."""

import asyncio

import pytest
from msgspec.structs import replace

from bank_rig import TODAY, message, order, transfer
from payments.channels.bank import wire
from payments.channels.bank.connector import State, Untold
from payments.channels.transport import HttpAnswer, NoAnswer, NotSent
from payments.iso20022 import pain001, pain002
from payments.iso20022.entries import Kind

DAY_S = 86_400

ENDINGS = [
    # account ends in, at once, an hour later, the next day: state and reason
    ("0000", ("paid", ""), ("paid", ""), ("paid", "")),
    ("8001", ("accepted", ""), ("accepted", ""), ("paid", "")),
    ("8002", ("paid", ""), ("paid", ""), ("returned", "AC04")),
    ("8003", ("paid", ""), ("paid", ""), ("returned", "BE01")),
    ("8004", ("rejected", "AC04"), ("rejected", "AC04"), ("rejected", "AC04")),
    ("8005", ("rejected", "AC03"), ("rejected", "AC03"), ("rejected", "AC03")),
    ("8006", ("rejected", "BE01"), ("rejected", "BE01"), ("rejected", "BE01")),
    ("8007", ("pending", ""), ("paid", ""), ("paid", "")),
    ("8008", ("pending", ""), ("rejected", "AC06"), ("rejected", "AC06")),
    ("8009", ("pending", ""), ("pending", ""), ("pending", "")),
]


@pytest.mark.parametrize(("ending", "first", "later", "next_day"), ENDINGS)
async def test_endings(bank, ending, first, later, next_day):
    """The table of docs/BANK.md, through the client, with the books agreeing in the end."""
    await bank.fund(5_000)
    asked = order(transfer(account="622200000000" + ending))

    (told,) = await bank.client.submit(pain001.encode(asked))
    assert first == (told.state, told.reason)
    await bank.move(advance_seconds=3600.0)
    told = await bank.client.inquire("E1", 1_000)
    assert later == (told.state, told.reason)
    await bank.move(advance_seconds=DAY_S - 3600.0)
    (told,) = await bank.client.inquire_order(asked)
    assert next_day == (told.state, told.reason)

    books = await bank.books()
    left = 4_000 if next_day[0] == "paid" else 5_000
    reserved = 1_000 if next_day[0] == "pending" else 0
    assert (left, reserved) == (books["balance_minor"], books["reserved_minor"])


LOST = ["8010", "8012", "8013", "8014"]


@pytest.mark.parametrize("ending", LOST)
async def test_a_lost_answer_is_unknown_and_a_repeat_pays_once(hasty, ending):
    """Never, late, wrongly signed, cut: the order was taken. Asked or sent again, it is paid."""
    await hasty.fund()
    sent = message(transfer(account="6222" + ending))

    (first,) = await hasty.client.submit(sent)
    asked = await hasty.client.inquire("E1", 1_000)
    (again,) = await hasty.client.submit(sent)

    assert State.UNKNOWN is first.state, first
    assert State.PAID is asked.state is again.state
    assert {"E1": [1_000]} == await hasty.payouts()


async def test_an_order_that_never_arrived_is_absent_and_then_paid_once(hasty):
    """W12: ask by its number; the bank has no such; the same bytes again."""
    await hasty.fund()
    asked = order(transfer(account="62228011"))

    (first,) = await hasty.client.submit(pain001.encode(asked))
    (absent,) = await hasty.client.inquire_order(asked)
    (again,) = await hasty.client.submit(pain001.encode(asked))

    assert (State.UNKNOWN, State.ABSENT, State.PAID) == (first.state, absent.state, again.state)
    assert State.ABSENT is (await hasty.client.inquire("E2", 1)).state
    assert {"E1": [1_000]} == await hasty.payouts()


@pytest.mark.parametrize("fate", ["busy", "error", "hang", "lost", "drop", "unsigned"])
async def test_whatever_fate_an_order_meets_it_is_paid_once(hasty, fate):
    await hasty.fund()
    await hasty.faults(next=[fate])

    (first,) = await hasty.client.submit(message())
    (again,) = await hasty.client.submit(message())

    assert (State.UNKNOWN, State.PAID) == (first.state, again.state), first
    assert {"E1": [1_000]} == await hasty.payouts()


async def test_ten_at_a_time_pay_once(bank):
    """The same order over many connections."""
    await bank.fund()
    told = await asyncio.gather(*(bank.client.submit(message()) for _ in range(10)))

    assert {State.PAID} == {verdict.state for (verdict,) in told}
    assert {"E1": [1_000]} == await bank.payouts()


async def test_numbers_that_were_used_say_nothing_about_the_money(bank):
    """Other bytes under a message id, another payment under an EndToEndId: refused, unknown here.

    The same payment in another message is the first one.
    """
    await bank.fund()
    await bank.client.submit(message())

    (other_bytes,) = await bank.client.submit(message(transfer(amount=2_000)))
    (other_payment,) = await bank.client.submit(message(transfer(amount=3_000), number="M2"))
    (same_payment, fresh) = await bank.client.submit(
        message(transfer(), transfer("E2", 50), number="M3")
    )

    assert (State.UNKNOWN, "DU01") == (other_bytes.state, other_bytes.reason[:4])
    assert (State.UNKNOWN, "DUPL") == (other_payment.state, other_payment.reason[:4])
    assert (State.PAID, State.PAID) == (same_payment.state, fresh.state)
    assert {"E1": [1_000], "E2": [50]} == await bank.payouts()


async def test_what_is_not_there_is_not_paid_out(bank):
    """Item by item, what is reserved counted: 5 000 are enough for two of three."""
    await bank.fund(5_000)
    items = (transfer("A", 3_000, "62228001"), transfer("B", 3_000), transfer("C", 2_000))

    told = await bank.client.submit(message(*items))

    assert [("accepted", ""), ("rejected", "AM04"), ("paid", "")] == [
        (each.state, each.reason) for each in told
    ]
    books = await bank.books()
    assert (3_000, 0) == (books["balance_minor"], books["available_minor"])


async def test_orders_for_later_days(bank):
    """Accepted now, paid at nine of that day; a day too far ahead is refused."""
    await bank.fund()

    (soon,) = await bank.client.submit(message(execution_on=TODAY + 2))
    (never,) = await bank.client.submit(
        message(transfer("E2"), number="M2", execution_on=TODAY + 10_000)
    )
    (past,) = await bank.client.submit(message(transfer("E3"), number="M3", execution_on=TODAY - 1))
    await bank.move(advance_seconds=2.0 * DAY_S)
    paid = await bank.client.inquire("E1", 1_000)

    assert (State.ACCEPTED, State.REJECTED, State.PAID) == (soon.state, never.state, past.state)
    assert ("DT01", State.PAID) == (never.reason, paid.state)


async def test_an_order_on_another_account_is_refused_whole(bank):
    told = await bank.client.submit(message(transfer("A"), transfer("B"), debtor_account="1"))

    assert [("rejected", "AC02")] * 2 == [(each.state, each.reason) for each in told]


# --- answers that are not believed ---------------------------------------------------------------


class Between:
    """Somebody between client and bank, who changes answers."""

    def __init__(self, bank, change):
        self._bank, self._change = bank, change

    async def send(self, request):
        answer = await self._bank.http.send(request)
        return self._change(answer)


def resigned(bank, answer, body=None, status=None, **headers):
    """The bank itself says something else, soundly signed."""
    body = answer.body if body is None else body
    status = status or answer.status
    said = dict(answer.headers) | headers
    text = wire.answer_text(status, said["bank-date"], said["bank-nonce"], body)
    signature = wire.to_base64(bank.sandbox.identity.sign(text))
    return HttpAnswer(status, said | {"bank-signature": signature}, body)


def other(change):
    """A report that says something else than it did."""

    def doctored(bank, answer):
        report = pain002.decode(answer.body)
        return resigned(bank, answer, pain002.encode(change(report)))

    return doctored


def item(**changes):
    return other(lambda report: replace(report, items=(replace(report.items[0], **changes),)))


DISBELIEVED = {
    "unsigned": lambda bank, answer: replace(answer, headers={}),
    "another body": lambda bank, answer: replace(answer, body=answer.body + b" "),
    "another status": lambda bank, answer: replace(answer, status=500),
    "no base64": lambda bank, answer: replace(
        answer, headers=dict(answer.headers) | {"bank-signature": "é"}
    ),
    "an old answer": lambda bank, answer: resigned(bank, answer, **{"bank-nonce": "0" * 16}),
    "cut short": lambda bank, answer: resigned(bank, answer, answer.body[:-20]),
    "empty": lambda bank, answer: resigned(bank, answer, b""),
    "a 500 that is signed": lambda bank, answer: resigned(bank, answer, b"{}", 500),
    "a 404 about something else": lambda bank, answer: resigned(
        bank, answer, b'{"error":"not_found"}', 404
    ),
    "another amount": item(amount_minor=1_001),
    "another number": item(end_to_end_id="E9"),
    "an unmapped status": item(status="CANC"),
    "returned, never paid": item(status="ACSP", is_returned=True, reason="AC04"),
    "the number twice": other(lambda report: replace(report, items=report.items * 2)),
    "another kind": other(lambda report: replace(report, original_name="pain.008.001.08")),
    "no items": other(lambda report: replace(report, items=(), payment_id="")),
}


@pytest.mark.parametrize("change", DISBELIEVED.values(), ids=DISBELIEVED)
async def test_an_answer_that_proves_nothing_is_unknown(bank, change):
    await bank.fund()
    client = bank.client_over(Between(bank, lambda answer: change(bank, answer)))

    (sent,) = await client.submit(message())
    asked = await client.inquire("E1", 1_000)

    assert (State.UNKNOWN, State.UNKNOWN) == (sent.state, asked.state), (sent, asked)
    assert {"E1": [1_000]} == await bank.payouts()


async def test_the_answer_to_another_order_is_unknown(bank):
    client = bank.client_over(
        Between(
            bank, lambda answer: other(lambda one: replace(one, original_id="M9"))(bank, answer)
        )
    )
    await bank.fund()

    (told,) = await client.submit(message())

    assert (State.UNKNOWN, "the answer is about another order") == (told.state, told.reason)


@pytest.mark.parametrize("error", [NotSent("refused"), NoAnswer("cut")], ids=["not sent", "cut"])
async def test_no_answer_is_unknown_everywhere(bank, error):
    """Also when nothing was sent this time: it may have been the time before."""

    class Silent:
        async def send(self, request):
            raise error

    client = bank.client_over(Silent())
    told = [*await client.submit(message()), *await client.inquire_order(order())]
    told.append(await client.inquire("E1", 1_000))

    assert {State.UNKNOWN} == {verdict.state for verdict in told}
    assert isinstance(await client.movements(0), Untold)
    assert isinstance(await client.statement(TODAY), Untold)


# --- the account ---------------------------------------------------------------------------------


async def test_movements_and_statements(bank):
    """A credit, a payout, its return: told as they happen, and again at the end of each day."""
    await bank.fund(5_000)
    await bank.client.submit(message(transfer(account="62228002")))
    seen = await bank.client.movements(0)
    assert [(Kind.CREDIT, "S1"), (Kind.PAYOUT, "E1")] == [
        (entry.kind, entry.end_to_end_id) for entry in seen
    ]
    assert () == await bank.client.movements(2)
    assert isinstance(await bank.client.statement(TODAY), Untold), "the day is not over"

    await bank.move(advance_seconds=2.0 * DAY_S)
    (back,) = await bank.client.movements(2)
    days = [await bank.client.statement(TODAY + at) for at in (0, 1)]

    assert (Kind.RETURN, "E1", "AC04", "M1", 1_000) == (
        *(back.kind, back.end_to_end_id, back.return_reason, back.message_id, back.amount_minor),
    )
    assert [(0, 4_000), (4_000, 5_000)] == [(d.opening_minor, d.closing_minor) for d in days]
    assert (*seen, back) == days[0].entries + days[1].entries


async def test_news_of_another_account_or_place_is_not_believed(bank):
    """A notice that begins later has a gap before it."""
    await bank.fund(5_000)
    await bank.fund(5_000, "S2")
    later = await bank.client.movements(1)
    client = bank.client_over(
        Between(bank, lambda answer: resigned(bank, answer, answer.body.replace(b"1102", b"1103")))
    )

    assert 1 == len(later)
    assert Untold("the notice is about another account") == await client.movements(0)
    assert Untold("the notice does not begin where it was asked to") == await gap(bank)


async def gap(bank):
    """The bank leaves out the first movement."""
    movements = bank.sandbox.books.movements
    bank.sandbox.books.movements = movements[1:]
    try:
        return await bank.client.movements(0)
    finally:
        bank.sandbox.books.movements = movements


async def test_long_days_come_on_pages(bank, monkeypatch):
    monkeypatch.setattr("payments.channels.bank.desk.PAGE_ENTRIES_MAX", 2)
    monkeypatch.setattr("payments.channels.bank.desk.NOTICE_ENTRIES_MAX", 2)
    for number in range(5):
        await bank.fund(100, f"S{number}")
    await bank.move(advance_seconds=1.0 * DAY_S)

    statement = await bank.client.statement(TODAY)
    news = [len(await bank.client.movements(after)) for after in (0, 2, 4, 5)]

    assert (5, 500) == (len(statement.entries), statement.closing_minor)
    assert [2, 2, 1, 0] == news
