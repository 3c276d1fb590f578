"""Money and time as Alipay spells them."""

import pytest

from payments.channels.alipay import units
from payments.channels.alipay.wire import Unreadable

AMOUNTS = [
    (1, "0.01"),
    (10, "0.10"),
    (100, "1.00"),
    (3800, "38.00"),
    (100_000_000_00, "100000000.00"),
]


@pytest.mark.parametrize(("fen", "text"), AMOUNTS)
def test_amounts_are_decimal_yuan(fen, text):
    assert text == units.yuan(fen)
    assert fen == units.fen(text)


def test_nothing_is_a_share_but_no_price():
    """ "0.00" is what a coupon may leave, never what is asked."""
    assert units.fen("0.00", least=0) == 0
    with pytest.raises(Unreadable):
        units.fen("0.00")


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.0", "1.000", "01.00", ".10", "-1.00", "+1.00", " 1.00", "1.00 ", "1,00", "1.00\n",
     "1e2", "NaN", "１.00", "100000000.01", "999999999.99", "1000000000.00", "0x1.00"],
)  # fmt: skip
def test_other_spellings_of_money_are_refused(text):
    with pytest.raises(Unreadable):
        units.fen(text)


@pytest.mark.parametrize("fen", [-1, 100_000_000_01])
def test_amounts_out_of_range_are_never_written(fen):
    with pytest.raises(ValueError):
        units.yuan(fen)


@pytest.mark.parametrize(
    ("text", "fen"), [("1", 100), ("1.5", 150), ("0.01", 1), ("100000000", 100_000_000_00)]
)
def test_a_client_may_leave_decimals_out(text, fen):
    assert fen == units.asked_fen(text)


@pytest.mark.parametrize("text", ["0", "0.00", "0.001", "1.", "100000000.01", "-1", "1e1", ""])
def test_a_client_may_not_write_anything(text):
    with pytest.raises(Unreadable):
        units.asked_fen(text)


def test_time_is_chinas():
    """Eight hours ahead of UTC, all year."""
    assert units.china_time(0) == "1970-01-01 08:00:00"
    assert units.china_time(1_795_000_000_999) == "2026-11-18 19:06:40"
    assert units.instant_ms("2026-11-18 19:06:40") == 1_795_000_000_000


@pytest.mark.parametrize(
    "text", ["", "2026-13-01 00:00:00", "2026-1-1 00:00:00", "2026-11-18T19:33:20", "2026-02-29 1"]
)
def test_other_spellings_of_time_are_refused(text):
    with pytest.raises(Unreadable):
        units.instant_ms(text)


@pytest.mark.parametrize(
    ("text", "ms"), [("1m", 60_000), ("2h", 7_200_000), ("15d", 1_296_000_000)]
)
def test_relative_expiries_are_read(text, ms):
    assert ms == units.express_ms(text, 0)


def test_one_c_ends_with_the_day_in_china():
    now = units.instant_ms("2026-11-18 23:59:00")

    assert units.express_ms("1c", now) == 60_000


@pytest.mark.parametrize("text", ["", "0m", "m", "1s", "16d", "1.5h", "-1m", "99999999m"])
def test_other_relative_expiries_are_refused(text):
    with pytest.raises(Unreadable):
        units.express_ms(text, 0)
