"""The sandbox as a stranger meets it: signatures, repeats, restarts, files, helpers, its books."""

import asyncio
import json
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.models.datatype import XmlDate, XmlDateTime

from bank_rig import TODAY, identity, message, transfer
from payments.calendar import business_date, rfc3339
from payments.channels.bank import endings, wire
from payments.channels.bank.books import LOG, Books
from payments.channels.bank.desk import CUSTODY_ACCOUNT, Desk
from payments.channels.bank.door import Door
from payments.channels.bank.files import Files
from payments.channels.bank.identity import FILE, Damaged, Identity
from payments.channels.bank.sandbox import BankSandbox
from payments.channels.sandbox.app import SandboxSettings
from payments.channels.simulated.books import BooksDamaged, BooksInUse
from payments.clock import ManualClock
from payments.iso20022 import pain001, pain002
from payments.iso20022.entries import Kind

DAY_MS = 86_400_000


# --- who may come in -----------------------------------------------------------------------------

WRONG = [
    ({"body_signed": b"other"}, "wrong_signature"),
    ({"target_signed": "/bank/status"}, "wrong_signature"),
    ({wire.SIGNATURE: "AAAA"}, "wrong_signature"),
    ({wire.SIGNATURE: "no base64"}, "wrong_signature"),
    ({wire.NONCE: "0" * 32}, "wrong_signature"),
    ({wire.DATE: rfc3339(ManualClock().real_ms() + 1000)}, "wrong_signature"),
    ({"signed": {wire.NONCE: "short"}}, "wrong_nonce"),
    ({"signed": {wire.CUSTOMER: "SOMEBODY"}}, "unknown_customer"),
    ({"signed": {wire.DATE: rfc3339(ManualClock().real_ms() - 301_000)}}, "wrong_date"),
    ({"signed": {wire.DATE: rfc3339(ManualClock().real_ms() + 301_000)}}, "wrong_date"),
    ({"signed": {wire.DATE: "yesterday"}}, "wrong_date"),
]


@pytest.mark.parametrize(("changes", "error"), WRONG, ids=str)
async def test_who_is_not_the_customer_gets_a_signed_refusal_and_nothing_else(bank, changes, error):
    await bank.fund()

    assert (401, error) == await bank.error_of("POST", wire.PAYMENTS, message(), **changes)
    assert {} == await bank.payouts()


async def test_a_request_is_taken_once(bank):
    """The same nonce again is refused, whatever it is for."""
    signed = {wire.NONCE: "n" * 16}

    assert 204 == (await bank.by_hand("GET", wire.NOTICES, signed=signed))[0]
    assert (401, "used_nonce") == await bank.error_of("GET", wire.NOTICES, signed=signed)


def test_nonces_are_forgotten_when_their_window_is_over(monkeypatch):
    """And not sooner: a full memory refuses."""
    monkeypatch.setattr("payments.channels.bank.door.NONCES_MAX", 2)
    clock = ManualClock()
    door = Door(identity(), clock)
    door.remember("a")
    door.remember("b")
    with pytest.raises(Exception, match="too many requests"):
        door.remember("c")
    clock.advance(601)
    door.remember("a")
    with pytest.raises(Exception, match="used before"):
        door.remember("a")


async def test_everything_is_answered_and_signed(bank):
    """Wrong paths, methods, queries, bodies that are too long."""
    assert (404, "not_found") == await bank.error_of("GET", "/bank/else")
    assert (405, "method") == await bank.error_of("GET", wire.PAYMENTS)
    assert (400, "wrong_query") == await bank.error_of("GET", wire.STATUS)
    for query in ("?after=x", "?after=-1", "?after=" + "9" * 16):
        assert (400, "wrong_query") == await bank.error_of("GET", wire.NOTICES + query)
    for query in ("?day=20261301", f"?day={TODAY}", f"?day={TODAY - 1}", f"?day={TODAY}&page=0"):
        assert (404, "no_statement") == await bank.error_of("GET", wire.DAYS + query)
    assert (413, "too_large") == await bank.error_of("POST", wire.PAYMENTS, b"x" * 16_777_217)


# --- orders --------------------------------------------------------------------------------------


async def test_the_same_bytes_get_the_same_answer(bank):
    """Byte for byte, until something happens; then what stands."""
    await bank.fund()
    sent = message(transfer(account="62228007"))
    first = await bank.by_hand("POST", wire.PAYMENTS, sent)
    again = await bank.by_hand("POST", wire.PAYMENTS, sent)
    await bank.move(advance_seconds=3600.0)
    later = await bank.by_hand("POST", wire.PAYMENTS, sent)

    assert first[2] == again[2]
    assert ["PDNG", "ACSC"] == [pain002.decode(each[2]).group_status for each in (first, later)]


@pytest.mark.parametrize(
    ("body", "original"),
    [(b"", "NOTPROVIDED"), (b"<a/>", "NOTPROVIDED"), (message().replace(b"TRF", b"CHK"), "M1")],
)
async def test_a_message_that_is_none_is_refused_in_one(bank, body, original):
    status, headers, raw = await bank.by_hand("POST", wire.PAYMENTS, body)

    report = pain002.decode(raw)
    assert (200, "application/xml") == (status, headers["Content-Type"])
    assert ("RJCT", "FF01", original) == (
        *(report.group_status, report.reason, report.original_id),
    )


async def test_the_group_is_as_far_as_its_slowest_payment(bank, judges):
    await bank.fund()
    accounts = {"A": "0000", "B": "8001", "C": "8007", "D": "8004"}
    states = []
    for number, pair in enumerate(("A", "AB", "ABC", "ABCD", "D")):
        items = [transfer(f"{each}{number}", 1, accounts[each]) for each in pair]
        raw = (await bank.by_hand("POST", wire.PAYMENTS, message(*items, number=pair)))[2]
        judges.verify("pain.002", raw)
        states.append(pain002.decode(raw).group_status)

    assert ["ACSC", "ACSP", "PDNG", "PART", "RJCT"] == states


async def test_a_strangers_order_is_paid(bank, judges):
    """Made by a library that nobody here wrote, with elements that we do not send."""
    from pyiso20022.pain import pain_001_001_09 as pain  # Half a second, for this test alone.

    await bank.fund()
    party = pain.PartyIdentification135
    account = pain.CashAccount38
    other = pain.GenericAccountIdentification1
    agent = pain.BranchAndFinancialInstitutionIdentification6(
        fin_instn_id=pain.FinancialInstitutionIdentification18(bicfi="ICBKCNBJ")
    )

    def numbered(number):
        return account(id=pain.AccountIdentification4Choice(othr=other(id=number)))

    item = pain.CreditTransferTransaction34(
        pmt_id=pain.PaymentIdentification6(instr_id="I1", end_to_end_id="X-1"),
        amt=pain.AmountType4Choice(
            instd_amt=pain.ActiveOrHistoricCurrencyAndAmount(value=Decimal("12.5"), ccy="CNY")
        ),
        chrg_br=pain.ChargeBearerType1Code.SLEV,
        cdtr=party(nm="王五"),
        cdtr_acct=numbered("62220001"),
        rmt_inf=pain.RemittanceInformation16(ustrd=["salary"]),
    )
    block = pain.PaymentInstruction30(
        pmt_inf_id="P-9",
        pmt_mtd=pain.PaymentMethod3Code.TRF,
        btch_bookg=False,
        reqd_exctn_dt=pain.DateAndDateTime2Choice(dt=XmlDate(2026, 11, 18)),
        dbtr=party(nm="Tillway"),
        dbtr_acct=numbered(CUSTODY_ACCOUNT),
        dbtr_agt=agent,
        cdt_trf_tx_inf=[item],
    )
    header = pain.GroupHeader85(
        msg_id="M-9",
        cre_dt_tm=XmlDateTime(2026, 11, 18, 9, 0, 0),
        nb_of_txs="1",
        initg_pty=party(nm="A stranger"),
    )
    document = pain.Document(
        cstmr_cdt_trf_initn=pain.CustomerCreditTransferInitiationV09(
            grp_hdr=header, pmt_inf=[block]
        )
    )
    sent = XmlSerializer().render(document).encode()
    judges.verify("pain.001", sent)

    raw = (await bank.by_hand("POST", wire.PAYMENTS, sent))[2]

    (told,) = pain002.decode(raw).items
    assert ("X-1", "ACSC", 1_250) == (told.end_to_end_id, told.status, told.amount_minor)


# --- restarts ------------------------------------------------------------------------------------


async def test_a_restart_forgets_nothing(kept):
    """Books, clock, what is due, and the messages that were taken; the keys are the folder's."""
    await kept.fund(9_000)
    sent = message(transfer("A", 1_000, "62228001"), transfer("B", 500), transfer("C", 7, "8002"))
    before = await kept.client.submit(sent)
    assert b'"62228001"' in (kept.folder / LOG).read_bytes(), "written before it is answered"
    await kept.move(advance_seconds=3600.0)
    seen = await kept.books()

    await kept.restart()

    assert seen == await kept.books()
    assert before == await kept.client.submit(sent)
    assert 3_600_000 == kept.clock.offset_ms
    await kept.move(advance_seconds=86_400.0)
    states = [each.state for each in await kept.client.inquire_order(pain001.decode(sent))]
    assert ["paid", "paid", "returned"] == states
    await kept.restart()
    day = await kept.client.statement(TODAY)
    assert (0, 8_493, 3) == (day.opening_minor, day.closing_minor, day.count)


async def test_what_was_due_while_the_bank_was_away_happens_at_its_time(kept):
    """The day that ended meanwhile has it."""
    await kept.fund()
    await kept.client.submit(message(transfer(account="62228007")))
    await kept.stop()
    kept.clock.advance(3 * 86_400)
    await kept.start()

    day = await kept.client.statement(TODAY)

    assert [Kind.CREDIT, Kind.PAYOUT] == [entry.kind for entry in day.entries]


async def test_a_torn_last_line_is_dropped_and_another_is_damage(kept, tmp_path):
    await kept.fund()
    await kept.stop()
    path = kept.folder / LOG
    whole = path.read_bytes()
    path.write_bytes(whole + b'["take",{"message_id":"M')
    await kept.start()
    assert 100_000 == (await kept.books())["balance_minor"]
    with pytest.raises(BooksInUse):
        Books(kept.folder, 0)
    await kept.stop()
    assert whole == path.read_bytes()

    path.write_bytes(whole.replace(b"100000", b"-5") + whole)
    with pytest.raises(BooksDamaged, match="line 2"):
        Books(kept.folder, 0)
    path.write_bytes(whole)
    await kept.start()


def test_an_identity_is_kept_and_a_broken_one_is_named(tmp_path):
    made = Identity.open(tmp_path)

    assert made.bank_public_pem == Identity.open(tmp_path).bank_public_pem
    assert 0o600 == (tmp_path / FILE).stat().st_mode & 0o777
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(Damaged):
        Identity.open(tmp_path)


# --- files ---------------------------------------------------------------------------------------


class Folder:
    def __init__(self, kept):
        self.root, self.key = kept.folder, kept.key

    def put(self, name, content, signature=None):
        seal = wire.sign(self.key, content) if signature is None else signature
        (self.root / "in" / name).write_bytes(content)
        (self.root / "in" / f"{name}.sig").write_text(wire.to_base64(seal))

    def answer(self, name):
        """The report, its signature checked."""
        raw = (self.root / "out" / f"{name}.pain.002.xml").read_bytes()
        seal = (self.root / "out" / f"{name}.pain.002.xml.sig").read_text().strip()
        assert wire.is_signed(identity()._bank.public_key(), raw, wire.from_base64(seal))
        return pain002.decode(raw)


async def test_an_order_in_a_file_is_answered_in_a_file(kept):
    """By the running sandbox; and over HTTP the same message is known."""
    await kept.fund()
    folder = Folder(kept)
    folder.put("pay-1.xml", message())
    out = kept.folder / "out" / "pay-1.pain.002.xml"
    for _ in range(1_000):
        if out.exists():
            break
        await asyncio.sleep(0.02)

    assert "ACSC" == folder.answer("pay-1").group_status
    assert (kept.folder / "done" / "pay-1.xml").exists()
    assert ["paid"] == [each.state for each in await kept.client.submit(message())]
    assert {"E1": [1_000]} == await kept.payouts()


async def test_files_that_come_again_or_are_wrong(tmp_path, kept):
    """A crash before the file was moved; a wrong signature; one that is not there yet."""
    await kept.stop()
    books = Books(tmp_path / "other", 0)
    desk = Desk(books, ManualClock())
    desk.credit("S1", 9_000, "", "somebody")
    kept.folder = tmp_path / "other"
    folder, files = Folder(kept), Files(tmp_path / "other", desk, identity(), books.flush)
    folder.put("a.xml", message())
    folder.put("b.xml", message())
    folder.put("c.xml", message(number="M3"), b"wrong")
    folder.put("d.xml", message(transfer("E4", account="8010"), number="M4"))
    (kept.folder / "in" / "e.xml").write_bytes(message(number="M5"))

    assert 4 == files.look()
    assert 0 == files.look()

    assert folder.answer("a") == folder.answer("b")
    assert ("RJCT", "NARR") == (folder.answer("c").group_status, folder.answer("c").reason)
    assert not (kept.folder / "out" / "d.pain.002.xml").exists()
    assert ["E1", "E4"] == [each.end_to_end_id for each in books.movements[1:]]
    assert ["e.xml"] == [path.name for path in (kept.folder / "in").iterdir()]
    books.close()
    await kept.start()


# --- test helpers --------------------------------------------------------------------------------


async def test_money_comes_in_once_for_a_reference(bank):
    assert {"reference": "S1", "is_new": True, "balance": 5} == await bank.fund(5)
    assert {"reference": "S1", "is_new": False, "balance": 5} == await bank.fund(5)

    for body, status in (
        ({"amount_minor": 6, "remittance": "", "reference": "S1"}, 409),
        ({"amount_minor": 0, "remittance": "", "reference": "S2"}, 400),
        ({"amount_minor": 1.5, "remittance": "", "reference": "S2"}, 400),
        ({"amount_minor": 1, "remittance": "a\nb", "reference": "S2"}, 400),
        ({"amount_minor": 1, "remittance": "", "reference": "号"}, 400),
        ({"amount_minor": 1, "remittance": "", "reference": "S2", "sender": ""}, 400),
        ({"amount_minor": 1}, 400),
    ):
        said = await bank.helper("POST", "credit", body)
        assert status == said[0], said
        assert said[1]["error"]
    assert 5 == (await bank.books())["balance_minor"]


async def test_the_clock_goes_forward_only(bank):
    before = (await bank.helper("GET", "clock"))[1]
    assert 400 == (await bank.move(advance_seconds=-1.0))[0]
    assert 400 == (await bank.move())[0]
    moved = (await bank.move(offset_ms=5_000))[1]

    assert (5_000, None, 0) == (
        *(moved["offset_ms"], moved["next_due_ms"], moved["callbacks_in_flight"]),
    )
    assert 5_000 == moved["now_ms"] - before["now_ms"]
    assert {"error": "not found"} == (await bank.helper("GET", "else"))[1]


async def test_faults_are_set_and_counted(bank):
    await bank.faults(next=["error"], operations=["status"])
    assert 204 == (await bank.by_hand("GET", wire.NOTICES))[0]
    assert (500, "error") == await bank.error_of("GET", wire.STATUS + "?message_id=M1")
    assert {"error": 1} == (await bank.helper("GET", "faults"))[1]["drawn"]
    assert 400 == (await bank.helper("POST", "faults", {"flop": 1}))[0]


def test_the_credentials_are_those_that_are_promised():
    told = BankSandbox(SandboxSettings(), ManualClock(), Random(1), identity()).credentials()

    assert {
        *("customer_id", "custody_account", "signing_private_key_pem", "bank_public_key_pem"),
        "paths",
    } == set(told)
    assert {"payments", "status", "statements"} == set(told["paths"])
    assert json.dumps(told)


# --- laws of the books ---------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("credit"), st.integers(0, 5), st.integers(1, 5_000)),
        st.tuples(
            st.just("pay"),
            st.integers(0, 5),
            st.lists(
                st.tuples(
                    st.integers(0, 9),
                    st.sampled_from([100, 3_000]),
                    st.sampled_from(["0000", *endings.ENDINGS]),
                ),
                min_size=1,
                max_size=3,
                unique_by=lambda item: item[0],
            ),
        ),
        st.tuples(st.just("wait"), st.integers(1, 2 * DAY_MS), st.none()),
    ),
    max_size=25,
)


def play(desk, step):
    """One step of a run, with the clock that the desk has."""
    kind, number, what = step
    desk.wake()
    if kind == "wait":
        desk.clock.advance(number / 1000)
        desk.wake()
    elif kind == "credit":
        if f"S{number}" not in desk.books.credits:
            desk.credit(f"S{number}", what, "", "somebody")
    else:
        items = [transfer(f"E{each}", amount, ending) for each, amount, ending in what]
        desk.take(message(*items, number=f"M{number}"))


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_whatever_is_asked_the_books_add_up(steps):
    """No number is paid or returned twice; days follow each other; what is told is what is booked;
    nothing leaves that is not there."""
    clock = ManualClock()
    desk = Desk(Books(None, clock.now_ms()), clock)
    for step in steps:
        play(desk, step)
    clock.advance(4 * 86_400)
    desk.wake()

    books = desk.books
    for kind in Kind:
        numbers = [each.end_to_end_id for each in books.movements if each.kind is kind]
        assert len(numbers) == len(set(numbers)), kind
    paid = {each.end_to_end_id for each in books.movements if each.kind is Kind.PAYOUT}
    back = {each.end_to_end_id for each in books.movements if each.kind is Kind.RETURN}
    assert paid == {p.end_to_end_id for p in books.payments.values() if p.status == "ACSC"}
    assert back == {p.end_to_end_id for p in books.payments.values() if p.is_returned}
    assert books.balance == sum(each.signed_minor for each in books.movements)
    assert min(books.balances) >= 0
    assert books.reserved == sum(
        p.amount_minor for p in books.payments.values() if p.status in endings.OPEN
    )
    check_days(desk)


def check_days(desk):
    """Each day opens as the one before closed, and together they hold every movement once."""
    at_ms, told, closing = desk.books.began_ms, [], 0
    while (day := business_date(at_ms)) < business_date(desk.now_ms()):
        statement = desk.statement(day, 1)
        assert closing == statement.opening_minor
        closing, told = statement.closing_minor, [*told, *statement.entries]
        at_ms += DAY_MS
    assert desk.books.movements[: len(told)] == told
    assert all(e.value_on >= business_date(at_ms) for e in desk.books.movements[len(told) :])


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_the_log_is_the_books(steps, tmp_path_factory):
    """Read again, it gives what was in memory."""
    folder = tmp_path_factory.mktemp("books")
    clock = ManualClock()
    books = Books(folder, clock.now_ms())
    desk = Desk(books, clock)
    for step in steps:
        play(desk, step)
    books.close()

    again = Books(folder, 0)
    again.close()

    for name in ("orders", "payments", "credits", "movements", "balances", "reserved", "ignored"):
        assert getattr(books, name) == getattr(again, name), name
