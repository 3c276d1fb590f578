"""What a reader does not take: bombs, endless lines, other bytes, other layouts, other totals."""

import gzip
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bill_layouts import ACCOUNT, DATE, LAYOUTS, MIDNIGHT_MS
from payments.bills import text as module
from payments.bills.lines import BillKind, BillLine, BillRefused, BillState
from payments.bills.text import Decimals, Instants, blocks, china_text, day_ms, decimal, next_date
from payments.channels.alipay import bill as alipay
from payments.channels.sandbox.turns import given_back
from payments.channels.wechat import bill as wechat
from payments.channels.wechat import funds
from payments.channels.wechat.funds import FundLine

LINE = BillLine(
    *("wechat", ACCOUNT, BillKind.PAYMENT, "P1", "", "4201", "", MIDNIGHT_MS, DATE),
    *(BillState.SUCCEEDED, "cny", 1234, 1234, 1234, 0, 0, 7),
)


def a_bill(*lines):
    return LAYOUTS["wechat"].write(list(lines or (LINE,)))


def read(data):
    return LAYOUTS["wechat"].read(data)


# --- exact amounts and times ---------------------------------------------------------------------


@given(st.integers(-(10**13), 10**13), st.sampled_from([2, 5]))
def test_an_amount_is_the_same_in_text_and_number(value, places):
    """No float in between, so no amount is off by one."""
    assert value == Decimals(places, signed=True)[decimal(value, places)]


@pytest.mark.parametrize(
    "text",
    ["", ".5", "1.", "1.234", "01.00", "+1.00", "1,000.00", "1e3", " 1.00", "１.00", "1.0٠", "--1",
     "9" * 13, "-", "NaN", "1.00\t", "0x1"],
)  # fmt: skip
def test_texts_that_are_no_amounts(text):
    """Neither Python's idea of a number nor Unicode's, only the channel's."""
    with pytest.raises(ValueError, match="not an amount"):
        Decimals(2, signed=True)[text]


@pytest.mark.parametrize("text", ["12.", "1.2", "012", "", "-1", "１２", "1" * 13])
def test_texts_that_are_no_whole_numbers(text):
    """Where there are no places there is no point either."""
    assert 12 == Decimals(0)["12"]
    with pytest.raises(ValueError, match="not an amount"):
        Decimals(0)[text]


@given(st.text("0123456789.-", max_size=8), st.sampled_from([0, 2, 5]))
def test_the_quick_way_to_an_amount_is_the_sure_way(text, places):
    """What is taken without the regular expression is what the regular expression takes."""
    table = Decimals(places, signed=True)
    quick = table._plain(text)

    assert quick is None or quick == table._formed(text)


def test_a_sign_is_only_for_what_may_be_below_zero():
    with pytest.raises(ValueError, match="not an amount"):
        Decimals(2)["-1.00"]


@given(st.integers(0, 4_000_000_000))
def test_an_instant_is_the_same_in_text_and_number(second):
    """In China, whatever the machine's own zone is."""
    at_ms, day = Instants().read(china_text(second * 1000))

    assert second * 1000 == at_ms
    assert day_ms(day) <= at_ms < day_ms(next_date(day))


@pytest.mark.parametrize(
    "text",
    ["2026-11-21", "2026-02-29 00:00:00", "2026-11-21 24:00:00", "2026-11-21 00:60:00",
     "2026-11-21 00:00:60", "2026-11-21T00:00:00", "2026-11-21 00:00:00 ", "2026-11-21 00:00:0１"],
)  # fmt: skip
def test_texts_that_are_no_instants(text):
    with pytest.raises(ValueError, match=r"not a time|no calendar"):
        Instants().read(text)


@given(st.data())
def test_what_goes_back_is_never_below_zero_and_all_of_it_in_the_end(data):
    """However a refund is split: each part's settled and paid money is a part of it."""
    amount = data.draw(st.integers(1, 10_000))
    settled = data.draw(st.integers(0, amount))
    paid = data.draw(st.integers(0, settled))
    steps = sorted(data.draw(st.sets(st.integers(1, amount))) | {amount})

    before, after = [0, *steps], [*steps]
    for start, end in zip(before, after, strict=False):
        was, now = (given_back(amount, settled, paid, point) for point in (start, end))
        assert 0 <= now[1] - was[1] <= now[0] - was[0] <= end - start
    assert (settled, paid) == given_back(amount, settled, paid, amount)


# --- sizes ---------------------------------------------------------------------------------------


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    """A gigabyte of one letter packs to a megabyte; reading stops when that is seen."""
    packed = gzip.compress(b"a" * 64_000 + b"\n" * 12_000_000)
    assert len(packed) < 20_000
    monkeypatch.setattr(module, "LINE_MAX_CHARACTERS", 100_000)

    with gzip.GzipFile(fileobj=(file := io.BytesIO(packed))) as text:
        lines = blocks(text, "utf-8", file.tell)
        with pytest.raises(BillRefused, match="200 times as long; do not open it"):
            list(lines)
        assert text.tell() < 10_000_000


def test_a_bomb_in_a_zip_is_refused():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_业务明细.csv", b"a\n" * 6_000_000)
        archive.writestr("x_业务明细(汇总).csv", b"")

    with pytest.raises(BillRefused, match="head"):
        list(alipay.read(packed))
    assert "times as long" in alipay.damage(packed.getvalue())


def test_a_text_above_the_limit_is_refused(monkeypatch):
    """As it is read: how long a file says it is does not matter."""
    monkeypatch.setattr(module, "FILE_MAX_BYTES", 400)

    with pytest.raises(BillRefused, match="more than 400 bytes; ask the channel"):
        read(a_bill())


def test_more_lines_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(wechat, "LINES_MAX", 2)

    assert 2 == len(read(a_bill(LINE, LINE)))
    with pytest.raises(BillRefused, match="more than 2 lines"):
        read(a_bill(LINE, LINE, LINE))


@pytest.mark.parametrize("size", [9_000, 5_000_000])
def test_an_endless_line_is_refused(size):
    """Also where no end of it ever comes: it is not collected."""
    with pytest.raises(BillRefused, match="line 2: a line of more than 8192"):
        read(a_bill().split(b"\r\n")[0] + b"\r\n`" + b"a" * size)


def test_lines_are_the_same_wherever_a_block_ends(monkeypatch):
    """Reading in blocks of any size gives the same lines, with the same rows."""
    data = a_bill(*[LINE] * 20)
    expected = list(wechat.read(io.BytesIO(data)))
    for size in (1, 7, 300, 301, 1_000):
        monkeypatch.setattr(module, "BLOCK_BYTES", size)
        assert expected == list(wechat.read(io.BytesIO(data)))


# --- bytes and layouts ---------------------------------------------------------------------------


@pytest.mark.parametrize("bom", [True, False])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("last", [True, False])
def test_wechats_files_come_in_several_forms(bom, end, last):
    """With a BOM or without, with both ends of lines, the last of them there or not."""
    data = a_bill().replace(b"\r\n", end)
    data = data if bom else data.removeprefix(b"\xef\xbb\xbf")

    assert [LINE] == read(data if last else data.removesuffix(end))


def test_bytes_that_are_no_text_are_refused_with_their_line():
    rows = a_bill(LINE, LINE).split(b"\r\n")
    rows[2] = rows[2].replace(b"two", b"\xfft\xff")

    with pytest.raises(BillRefused, match=r"^line 3: bytes that are no UTF-8"):
        read(b"\r\n".join(rows))


FOOTS = """
    # cell  changed to     -> why
      0     2              总交易单数 is not what the lines add up to
      1     12.35          应结订单总金额 is not what the lines add up to
      2     0.01           退款总金额 is not what the lines add up to
      3     0.01           充值券退款总金额 is not what the lines add up to
      4     0.07001        手续费总金额 is not what the lines add up to
      5     12.33          订单总金额 is not what the lines add up to
      6     0.01           申请退款总金额 is not what the lines add up to
      6     0.00.          申请退款总金额 is no number
"""
CASES = [row.split(maxsplit=2) for row in FOOTS.strip().splitlines()[1:]]


@pytest.mark.parametrize(("cell", "text", "why"), CASES)
def test_each_sum_of_wechats_foot_is_compared(cell, text, why):
    rows = a_bill().decode().split("\r\n")
    cells = rows[3].removeprefix("`").split(",`")
    cells[int(cell)] = text
    rows[3] = "`" + ",`".join(cells)

    with pytest.raises(BillRefused, match=rf"^line 4: {why}"):
        read("\r\n".join(rows).encode())


def test_a_line_of_another_merchant_number_is_refused():
    other = BillLine(*(getattr(LINE, n) if n != "account" else "2" for n in LINE.__struct_fields__))

    with pytest.raises(BillRefused, match="line 3: a line of another merchant number"):
        read(a_bill(LINE, other))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [("`SUCCESS,", "`CLOSED,", "state"), ("`CNY,", "`USD,", "currency"),
     ("`two", "two", "number of cells"), ("`P1,", "`,", "contradict"),
     ("`0.07000", "`-0.07000", "contradict"), ("`12.34,`0.00,`0,", "`12.34,`99.00,`0,", "contrad")],
)  # fmt: skip
def test_a_cell_that_cannot_be_is_refused(old, new, why):
    data = a_bill().decode()
    assert old in data

    with pytest.raises(BillRefused, match=rf"^line 2: .*{why}"):
        read(data.replace(old, new, 1).encode())


def test_wechats_published_cells_are_read():
    """The cells of the documents' own examples: one decimal, bare zeros, a high rate."""
    head = wechat.HEADS[wechat.BillType.ALL]
    row = (
        "`2019-02-19 05:01:46,`wxab8acd895ab1638a,`1921000401,`0,`1000,`1001690740201411100005,"
        "`1415640626,`085e9858e3ba5186aafcbaed1,`MICROPAY,`SUCCESS,`OTHERS,`CNY,`0.01,`0.0,`0,`0,"
        "`0,`0,`,`,`被扫支付测试,`订单额外描述,`0.00000,`39.00%,`0.01,`0.00,`"
    )
    foot = f"{wechat.FOOT}\n`1,`0.01,`0.00,`0.00,`0.00000,`0.01,`0.00"

    (line,) = wechat.read(io.BytesIO(f"{head}\n{row}\n{foot}\n".encode()))
    assert ("1921000401", "1415640626", 1, 1, 0, 0) == (
        line.account, line.out_trade_no, line.amount, line.settle_amount, line.discount_channel,
        line.fee,
    )  # fmt: skip
    assert (20190219, 2) == (line.bill_date, line.row)


def test_a_fee_that_is_shown_finer_is_charged_half_up():
    """0.0228 yuan are two fen, 0.025 are three; the foot is compared as it is shown."""
    data = a_bill().decode()
    for shown, fen in (("0.02280", 2), ("0.02500", 3), ("0.00499", 0)):
        changed = data.replace("0.07000", shown)
        assert [fen] == [line.fee for line in read(changed.encode())]


# --- Alipay --------------------------------------------------------------------------------------


def alipay_texts():
    data = LAYOUTS["alipay"].write([LINE])
    with zipfile.ZipFile(io.BytesIO(data), metadata_encoding="gbk") as archive:
        return {name: archive.read(name).decode("gbk") for name in archive.namelist()}


def packed(texts):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text.encode("gbk"))
    return file


@pytest.mark.parametrize(
    ("which", "old", "new", "why"),
    [
        (0, "12.34,12.34", "12.35,12.34", "not what the lines add up to"),
        (0, "1笔", "2笔", "not what the lines add up to"),
        (0, "共12.34元", "共12.3元", "not what the lines add up to"),
        (0, "交易\t", "充值\t", "neither a payment nor a refund"),
        (0, "服务费（元）", "服务费", "columns"),
        (0, "业务明细列表结束", "业务明细列表", "foot"),
        (0, "2026年11月22日", "2026年11月23日", "one day"),
        (0, "[2088000000000001", "[2088000000000002", "name says another"),
        (1, "12.34,12.34", "12.33,12.34", "not what the lines add up to"),
        (1, "12.27", "12.28", "not what the lines add up to"),
        (1, "合计", "小计", "no total"),
        (1, "[2088000000000001", "[2088000000000002", "summary is of another"),
        (1, "#导出时间", "导出时间", "cut"),
    ],
)
def test_alipays_texts_must_agree_with_each_other(which, old, new, why):
    """Head, lines, foot, summary and the file's own name tell one story, or none is believed."""
    texts = alipay_texts()
    assert [LINE.amount] == [line.amount for line in alipay.read(packed(texts), DATE)]
    name = list(texts)[which]
    assert old in texts[name]
    texts[name] = texts[name].replace(old, new, 1)

    with pytest.raises(BillRefused, match=why):
        list(alipay.read(packed(texts), DATE))


def test_a_zip_without_both_texts_is_refused():
    """One alone cannot be checked against the other; a crowd is no bill."""
    texts = alipay_texts()
    for name in texts:
        with pytest.raises(BillRefused, match="one file of details and one summary"):
            list(alipay.read(packed({other: texts[other] for other in texts if other != name})))
    with pytest.raises(BillRefused, match="more than 8 files"):
        list(alipay.read(packed(texts | {str(i): "" for i in range(7)})))


# --- movements -----------------------------------------------------------------------------------


@given(st.lists(st.integers(-10_000, 10_000), max_size=20), st.integers(0, 10**9))
def test_movements_are_written_and_read(changes, balance):
    """The identity again, and every fen in the sums."""
    lines = []
    for number, change in enumerate(changes):
        balance += change
        at = MIDNIGHT_MS + number * 1000
        lines.append(FundLine(at, f"42{number}", f"F{number}", "交易", "交易", change, balance))

    told = list(funds.read(io.BytesIO(b"".join(funds.write(lines)))))

    assert [(n + 2, c) for n, c in enumerate(changes)] == [(i.row, i.change) for i in told]
    assert [line.balance for line in lines] == [line.balance for line in told]


def test_a_balance_that_does_not_follow_is_refused():
    """Where a line is missing, the balance says so before the foot does."""
    lines = [FundLine(MIDNIGHT_MS, "42", f"F{i}", "交易", "交易", 100, 100 * i) for i in (1, 2, 4)]

    with pytest.raises(BillRefused, match="line 4: the balance does not follow"):
        list(funds.read(io.BytesIO(b"".join(funds.write(lines)))))
