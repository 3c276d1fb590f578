"""`tillway recon import` of another gateway's bill: payments that were reported to us meet it."""

import json
from collections import Counter

import pytest
from msgspec.structs import replace

from gateway.cli import app as cli
from payments.calendar import DAY_MS
from payments.channels.alipay import bill as alipay
from payments.channels.wechat import bill
from payments.ids import out_trade_no
from payments.payment import REPORTED
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.rehearsal import Made, rehearse
from payments.storage.base import StoreRefused
from payments.storage.rehearsal import SHARD, write
from payments.storage.reported import ReportedBooks
from payments.testing import an_id

DAY = 20261121
BEGINS, ENDS = day_bounds(DAY)
ACCOUNT = "external"
OK, CHECK_FAILED = 0, 1


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No settings of the machine's."""
    monkeypatch.delenv("TILLWAY_CONFIG", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


def reported(count=20, late_ms=3 * DAY_MS):
    """A day at another gateway: its own order numbers, reported days later; refunds too."""
    for no, made in enumerate(rehearse(count, DAY, bill.CHANNEL, 1_000_000, 7)):
        if no < 12:
            continue  # The rehearsal's own differences.
        payment = made.payment
        at = payment.succeeded_at
        attempt = replace(payment.attempt, account=ACCOUNT, channel_trade_no=f"T{100 - no}")
        told = replace(
            payment,
            id=an_id("pay", at_ms=at + late_ms),
            attempt=replace(attempt, sent_at=at),
            entry=REPORTED,
        )
        refunds = tuple(
            replace(
                refund,
                id=an_id("rfd", at_ms=refund.succeeded_at + late_ms),
                payment=told.id,
                account=ACCOUNT,
                channel_refund_no=f"R{100 - no}",
            )
            for refund in made.refunds
        )
        lines = tuple(
            replace(
                line,
                out_trade_no=f"THEIR-{no}",
                channel_trade_no=f"T{100 - no}",
                out_refund_no=f"THEIR-BACK-{no}" if line.out_refund_no else "",
                channel_refund_no=f"R{100 - no}" if line.channel_refund_no else "",
            )
            for line in made.lines
        )
        yield Made(told, refunds, lines, None)


def wechat_bill(lines):
    details = bill.Details(rate_ppm=6_000)
    return bill.write(bill.BillType.ALL, ((line, details) for line in lines))


def alipay_bill(lines):
    """The same lines as Alipay has them: its refunds have no number of Alipay's own."""
    details = alipay.Details(created_ms=BEGINS)
    own = [replace(line, channel=alipay.CHANNEL, channel_refund_no="") for line in lines]
    return [alipay.write("2088000000000001", DAY, ((line, details) for line in own), ENDS)]


@pytest.fixture
def bring(monkeypatch, capsys, tmp_path):
    """bring(day): its bill against what was reported; (exit code, answer, differences)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tillway", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, json.loads(capsys.readouterr().out)

    def bring(day, dialect="wechat", written=wechat_bill):
        folder = tmp_path / "day"
        write(folder, day, DAY, written)
        code, answer = run(
            "recon", "import", folder / "bill.csv", "--dialect", dialect, "--data", folder,
            "--account", ACCOUNT, "--rate-ppm", 6000, "--json",
        )  # fmt: skip
        _, shown = run("recon", "show", answer["id"], "--data", folder, "--json")
        return code, answer, shown["items"]

    return bring


def test_what_was_reported_meets_the_other_gateways_bill(bring):
    """By the channel's numbers: ours it has never heard of. Reported days later, it still does."""
    code, answer, items = bring(reported())

    assert (OK, []) == (code, items)
    assert (9, {"ours": 9, "theirs": 9}) == (answer["counts"]["matched"], answer["lines"])


def test_refunds_in_alipays_bill_go_by_the_number_they_were_asked_with(bring):
    """Alipay shows no other; so that is what the other gateway tells us."""
    day = []
    for made in reported():
        asked = [line.out_refund_no for line in made.lines if line.out_refund_no]
        told = zip(made.refunds, asked, strict=True)
        refunds = tuple(replace(refund, channel_refund_no=number) for refund, number in told)
        day.append(replace(made, refunds=refunds))

    code, answer, items = bring(day, "alipay", alipay_bill)

    assert (OK, []) == (code, items)
    assert (9, {"ours": 9, "theirs": 9}) == (answer["counts"]["matched"], answer["lines"])


def test_each_way_of_being_wrong_is_found_and_no_other(bring):
    """Not reported, reported and not in the bill, another amount, refunded and not told."""
    day = list(reported())
    sold = [made for made in day if not made.refunds]
    (returned,) = [made for made in day if made.refunds]
    missing, unheard, dearer, *_ = sold
    changed = {
        id(missing): replace(missing, payment=None),
        id(unheard): replace(unheard, lines=()),
        id(dearer): replace(dearer, payment=replace(
            dearer.payment, amount=dearer.payment.amount - 1,
            settle_amount=dearer.payment.amount - 1,
        )),
        id(returned): replace(returned, refunds=()),
    }  # fmt: skip
    code, _, items = bring([changed.get(id(made), made) for made in day])

    assert CHECK_FAILED == code
    assert {
        ("unknown_order", missing.lines[0].channel_trade_no),
        ("ours_only", unheard.payment.attempt.channel_trade_no),
        ("amount", dearer.lines[0].channel_trade_no),
        ("theirs_only", returned.lines[1].channel_refund_no),
    } == {(item["type"], item["number"]) for item in items if item["type"] != "fee"}


def test_what_two_merchants_report_is_ours_once_too_often(bring):
    day = list(reported())
    again = replace(day[0], payment=replace(day[0].payment, id=an_id("pay", at_ms=ENDS)), lines=())

    _, answer, items = bring([*day, again])

    assert Counter(ours_only=1) == Counter(item["type"] for item in items)
    assert 9 == answer["counts"]["matched"]


def test_more_than_memory_is_for_is_refused(tmp_path):
    day = list(reported())
    write(tmp_path / "day", day, DAY, lambda lines: [b"" for _ in lines])
    paths = [tmp_path / "day" / SHARD]

    with pytest.raises(StoreRefused, match="more than 7 reported lines"):
        ReportedBooks(paths, ACCOUNT, DAY, rows_max=7)
    books = ReportedBooks(paths, ACCOUNT, DAY, rows_max=8)
    assert books.charge(out_trade_no(day[0].payment.id, 0)) is None
    assert day[0].payment.id == books.charge(day[0].payment.attempt.channel_trade_no).object
