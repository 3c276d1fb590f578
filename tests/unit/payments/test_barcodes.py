"""The first digits of a payer's code name the wallet; whatever else is nobody's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.barcodes import (
    PUBLISHED,
    WECHAT,
    Barcodes,
    WalletCodes,
    barcodes,
    is_consumer_presented,
    wallet_of,
)

PATTERNS = {
    "wechat": r"1[0-5]\d{16}",
    "alipay": r"(?:2[5-9]|30)\d{14,22}",
    "unionpay": r"62\d{17}",
    "ecny": r"01\d{17}",
}
digits = st.text("0123456789", max_size=26)
likely = st.builds(
    lambda head, tail: head + tail,
    st.sampled_from(["10", "15", "16", "24", "25", "30", "31", "62", "01", "1", ""]),
    st.text("0123456789", min_size=14, max_size=23),
)


@given(st.one_of(digits, likely, st.text(max_size=20)))
def test_the_prefix_of_a_code_tells_its_wallet(code):
    """As the wallets publish it, by their own patterns."""
    fitting = [
        wallet for wallet, pattern in PATTERNS.items() if re.fullmatch(pattern, code, re.ASCII)
    ]

    assert (fitting[0] if fitting else None) == wallet_of(code)


@pytest.mark.parametrize(
    ("code", "wallet"),
    [
        ("130000000000009001", "wechat"),
        ("1300000000000090011", None),
        ("13000000000000900", None),
        ("2800000000009001", "alipay"),
        ("280000000000000000009001", "alipay"),
        ("280000000000009", None),
        ("2800000000000000000009001", None),
        ("6200000000000009001", "unionpay"),
        ("620000000000000900", None),
        ("0100000000000009001", "ecny"),
        ("3100000000009001", None),
        ("13000000000000900x", None),
        ("١٣٠٠٠٠٠٠٠٠٠٠٠٠٩٠٠١", None),
        ("13000000000000900٣", None),
        ("13000000000000900\n", None),
        ("", None),
    ],
)
def test_codes_of_every_wallet(code, wallet):
    """The examples of the contract, and near misses."""
    assert wallet == wallet_of(code)


def test_the_digital_yuan_is_a_setting():
    """Its prefix rests on one source: it can be another, or none."""
    code = "0100000000000009001"

    assert PUBLISHED.wallets == {"wechat", "alipay", "unionpay", "ecny"}
    assert barcodes("").wallet_of(code) is None
    assert barcodes("02").wallet_of(code) is None
    assert barcodes("02").wallet_of("02" + code[2:]) == "ecny"


@pytest.mark.parametrize("prefix", ["1", "012", "0x", "٠١"])
def test_a_prefix_has_two_digits(prefix):
    """A setting that could never match is refused at once."""
    with pytest.raises(ValueError, match="not two digits"):
        barcodes(prefix)


def test_no_code_has_two_wallets():
    """Rules that overlap are refused, not ordered."""
    with pytest.raises(ValueError, match="13 begins codes of wechat and ecny"):
        barcodes("13")
    assert Barcodes([WECHAT, WECHAT]).wallet_of("130000000000000001") == "wechat"


@pytest.mark.parametrize("rule", [("x", (), 16, 18), ("x", ("70",), 2, 18), ("x", ("70",), 18, 17)])
def test_a_rule_has_a_prefix_and_lengths(rule):
    """Or it cannot be built."""
    with pytest.raises(ValueError, match="codes of x"):
        WalletCodes(*rule)


def test_a_consumer_presented_code_is_text():
    """EMVCo's begin alike, and no wallet's digits do."""
    assert is_consumer_presented("hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8=")
    assert not is_consumer_presented("130000000000000001")
    assert wallet_of("hQVDUFYwMWEaTwegAAAA") is None
