"""What holds for every channel's bill: written and read it is the same, and damage is refused."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bill_layouts import ACCOUNT, DATE, LAYOUTS, MIDNIGHT_MS, days
from payments.bills.lines import BillKind, BillLine, BillRefused, BillState, BillTotals

NAMES = pytest.mark.parametrize("name", LAYOUTS)


def a_day(layout):
    """Two payments, one with coupons, a refund and a reversal."""
    paid = (layout.channel, ACCOUNT, BillKind.PAYMENT)
    back = (layout.channel, ACCOUNT, BillKind.REFUND)
    theirs = "" if layout.channel == "alipay" else "5030"
    late = MIDNIGHT_MS + 86_399_000
    lines = [
        BillLine(
            *(*paid, "P1", "", "4201", "", MIDNIGHT_MS, DATE, BillState.SUCCEEDED),
            *("cny", 3800, 3600, 3300, 300, 200, 22),
        ),
        BillLine(
            *(*paid, "P2", "", "4202", "", MIDNIGHT_MS, DATE, BillState.SUCCEEDED),
            *("cny", 84, 84, 84, 0, 0, 1),
        ),
        BillLine(
            *(*back, "P1", "R1", "4201", theirs, late, DATE, BillState.SUCCEEDED),
            *("cny", 1900, 1800, 1650, 150, 100, 11),
        ),
        BillLine(
            *(*back, "P2", "", "4202", theirs, late, DATE, BillState.REVERSED),
            *("cny", 84, 84, 84, 0, 0, 1),
        ),
    ]
    return [line for line in lines if layout.holds(line)]


def money(lines):
    totals = BillTotals()
    for line in lines:
        totals.add(line)
    return totals


def outcome(layout, data):
    """The lines, or the refusal."""
    try:
        return layout.read(data)
    except BillRefused as refusal:
        return refusal


@NAMES
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_was_written_is_read(name, data):
    """Writing and reading is the identity, whatever the amounts, to the fen."""
    layout = LAYOUTS[name]
    lines = data.draw(days(layout))

    assert lines == layout.read(layout.write(lines))


@NAMES
def test_a_file_that_is_cut_anywhere_is_refused_or_says_the_same(name):
    """No beginning of a file passes for the whole, unless nothing but an end of line is gone."""
    layout = LAYOUTS[name]
    lines = a_day(layout)
    data = layout.write(lines)

    for length in range(len(data)):
        read = outcome(layout, data[:length])
        assert isinstance(read, BillRefused) or lines == read, length


@NAMES
def test_a_byte_that_is_missing_is_refused_or_changes_no_money(name):
    """A byte taken out of the middle: packed files say the same lines, plain ones the same sums."""
    layout = LAYOUTS[name]
    lines = a_day(layout)
    data = layout.write(lines)

    for at in range(len(data)):
        read = outcome(layout, data[:at] + data[at + 1 :])
        check_harmless(layout, lines, read, at)


@NAMES
@pytest.mark.parametrize("change", [1, 4, 128], ids=["a bit", "another digit", "no ASCII"])
def test_a_byte_that_is_changed_is_refused_or_changes_no_money(name, change):
    """A digit for another digit is the worst: it reads well, and only the sums can tell."""
    layout = LAYOUTS[name]
    lines = a_day(layout)
    data = bytearray(layout.write(lines))

    for at in range(len(data)):
        data[at] ^= change
        check_harmless(layout, lines, outcome(layout, bytes(data)), at)
        data[at] ^= change


def check_harmless(layout, lines, read, at):
    if isinstance(read, BillRefused):
        return
    if layout.is_packed:
        assert lines == read, at
    assert money(lines) == money(read), at


@NAMES
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_line_that_comes_twice_or_not_at_all_is_refused(name, data):
    """Counts and sums at the end are of all lines."""
    layout = LAYOUTS[name]
    lines = data.draw(days(layout).filter(bool))
    shorter = layout.write(lines[:-1])
    if layout.is_packed and layout.channel != "unionpay":
        assert lines[:-1] == layout.read(shorter)
        return  # Lines cannot be taken out of a packed file without packing it anew.
    rows = layout.write(lines).split(b"\n")
    last = max(i for i, row in enumerate(rows) if lines[-1].channel_trade_no.encode() in row)

    for changed in (rows[:last] + rows[last + 1 :], [*rows[: last + 1], *rows[last:]]):
        assert isinstance(outcome(layout, b"\n".join(changed)), BillRefused)


@NAMES
def test_a_bill_of_another_day_is_refused(name):
    """Who asked for a day does not get another one's lines."""
    layout = LAYOUTS[name]
    data = layout.write(a_day(layout))
    if name == "wechat, refunds":
        # Its lines may be of payments of any day, and the file says no day.
        assert {DATE + 1} == {line.bill_date for line in layout.read(data, DATE + 1)}
        return

    with pytest.raises(BillRefused, match="day"):
        layout.read(data, DATE + 1)


@NAMES
def test_a_refusal_names_the_line_and_what_to_do_and_repeats_nothing(name):
    """Line numbers count from 1; the file's own text is personal data and is not repeated."""
    layout = LAYOUTS[name]
    data = layout.write(a_day(layout))
    if layout.is_packed and layout.channel != "unionpay":
        with pytest.raises(BillRefused, match=r"damaged; fetch the file again$"):
            layout.read(data[:-30])
        return
    rows = data.split(b"\n")
    rows[1] = rows[1].replace(b"20261121", b"2026x121", 1).replace(b"2026-11-21", b"2026-x1-21")

    with pytest.raises(BillRefused) as refused:
        layout.read(b"\n".join(rows))
    assert 2 == refused.value.line
    assert re.fullmatch(r"line 2: not a time; fetch the file again", str(refused.value))


@NAMES
def test_an_empty_day_has_an_empty_bill(name):
    """Head and foot and nothing between them."""
    layout = LAYOUTS[name]

    assert [] == layout.read(layout.write([]))
    assert isinstance(outcome(layout, b""), BillRefused)
