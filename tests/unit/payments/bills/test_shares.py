"""The bill of divided money: what was written is read, and what is damaged is refused whole."""

import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from payments.bills.lines import BillKind, BillRefused
from payments.bills.shares import ShareLine
from payments.channels.wechat import sharing_bill

DATE = 20261121
MIDNIGHT_MS = 1_795_190_400_000
ONE = ShareLine(
    "wechat", "1900000001", BillKind.SHARE, "01K5AZ0001S1", "3008", "36011", "4200000001",
    "1900000201", MIDNIGHT_MS + 1_000, DATE, 500, 10_000, "", "分账",
)  # fmt: skip
BACK = replace(ONE, kind=BillKind.SHARE_RETURN, number="01K5AZ0002B01", amount=125, merchant="19")

names = st.text("0123456789ABCDEFabcdef_-", min_size=1, max_size=28)


@st.composite
def lines(draw):
    amount = draw(st.integers(1, 10_000_000_000))
    return ShareLine(
        "wechat",
        "1900000001",
        draw(st.sampled_from([BillKind.SHARE, BillKind.SHARE_RETURN])),
        draw(names), draw(names), draw(names), draw(names), draw(names),
        MIDNIGHT_MS + 1_000 * draw(st.integers(0, 86_399)),
        DATE,
        amount,
        amount + draw(st.integers(0, 1_000_000)),
        draw(st.sampled_from(["", "1900000109"])),
        draw(st.text("分账 abc", max_size=9)),
    )  # fmt: skip


def written(told):
    return b"".join(sharing_bill.write(told))


def read(data, date=DATE):
    return [replace(line, row=0) for line in sharing_bill.read(io.BytesIO(data), date)]


@settings(max_examples=40)
@given(st.lists(lines(), max_size=6), st.booleans())
def test_what_was_written_is_read(told, packed):
    data = written(told)

    assert told == read(gzip.compress(data) if packed else data)


def test_rows_are_those_of_the_file():
    found = sharing_bill.read(io.BytesIO(written([ONE, BACK])), DATE)

    assert [2, 3] == [line.row for line in found]


def test_the_layout_without_a_description_is_read_too():
    data = written([ONE]).decode()
    data = data.replace("分账描述,备注", "备注").replace("`成功,`分账,`", "`成功,`分账")

    assert [ONE] == read(data.encode())


@settings(max_examples=50)
@given(st.lists(lines(), min_size=1, max_size=4), st.data())
def test_a_file_that_was_cut_is_refused(told, data):
    """At any byte but in the line feed at its end."""
    whole = written(told)
    cut = whole[: data.draw(st.integers(0, len(whole) - 3))]

    with pytest.raises(BillRefused):
        read(cut)


@settings(max_examples=40)
@given(st.lists(lines(), min_size=1, max_size=4), st.data())
def test_a_line_that_is_missing_twice_or_another_amount_is_refused(told, data):
    whole = written(told).split(b"\r\n")
    at = data.draw(st.integers(1, len(told)))
    changes = {
        "gone": [*whole[:at], *whole[at + 1 :]],
        "twice": [*whole[: at + 1], *whole[at:]],
    }
    cells = whole[at].split(b",`")
    minor = int(cells[9].replace(b".", b"")) + 1
    cells[9] = b"%d.%02d" % divmod(minor, 100)
    changes["amount"] = [*whole[:at], b",`".join(cells), *whole[at + 1 :]]

    with pytest.raises(BillRefused) as refused:
        read(b"\r\n".join(changes[data.draw(st.sampled_from(sorted(changes)))]))
    assert told[at - 1].number not in str(refused.value) or len(told[at - 1].number) < 4


BROKEN = [
    ("分账时间", "时间"),
    ("`分账,`成功", "`打赏,`成功"),
    ("`分账,`成功", "`分账,`处理中"),
    ("`2026-11-21 00:00:01", "`2026-11-22 00:00:01"),
    ("`2026-11-21 00:00:01", "`2026-11-21 24:00:01"),
    ("`5.00,`分账", "`0.00,`分账"),
    ("`5.00,`分账", "`100.01,`分账"),
    ("`5.00,`分账", "`-5.00,`分账"),
    ("`5.00,`分账", "`five,`分账"),
    ("`1900000201", "`"),
    ("`01K5AZ0001S1", "`"),
    ("`成功,`分账,`", "`成功,`分账"),
    ("总条数", "总笔数"),
    ("`2,`5.00,`1.25", "`3,`5.00,`1.25"),
    ("`2,`5.00,`1.25", "`2,`5.01,`1.25"),
    ("`2,`5.00,`1.25", "`2,`5.00,`1.24"),
    ("`2,`5.00,`1.25", "`2,`5.00"),
    ("`2,`5.00,`1.25", "`2,`x,`1.25"),
    ("`2,`5.00,`1.25\r\n", "`2,`5.00,`1.25\r\n`x\r\n"),
]


@pytest.mark.parametrize(("old", "new"), BROKEN)
def test_what_cannot_be_is_refused(old, new):
    whole = written([ONE, BACK]).decode()
    assert old in whole

    with pytest.raises(BillRefused):
        read(whole.replace(old, new, 1).encode())


def test_lines_of_two_accounts_are_refused():
    with pytest.raises(BillRefused, match="two accounts"):
        read(written([ONE, replace(BACK, account="1900000002")]))


def test_bytes_of_another_encoding_are_refused():
    with pytest.raises(BillRefused, match="UTF-8"):
        read(written([ONE]).replace("分账,`成功".encode(), "分账,`成功".encode("gbk")))


def test_more_lines_than_anybody_compares_are_refused(monkeypatch):
    monkeypatch.setattr(sharing_bill, "SHARES_MAX", 2)

    assert 2 == len(read(written([ONE, BACK])))
    with pytest.raises(BillRefused, match="more than 2"):
        read(written([ONE, BACK, ONE]))
