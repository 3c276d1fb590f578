"""Codes of countries: each scheme's account, and the whole code around it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.emv import BadCode, parse, render
from payments.emv_templates import (
    BRAZIL,
    CHINA,
    SINGAPORE,
    VIETNAM,
    amount_minor,
    amount_text,
    merchant_code,
    paynow,
    pix,
    pix_reference,
    pix_url,
    promptpay,
    promptpay_bill,
    schemes,
    sgqr,
    upi_link,
    vietqr,
)

VECTORS = {
    scheme: [vector["payload"] for vector in vectors if scheme in vector["schemes"]]
    for vectors in [
        json.loads(
            (Path(__file__).parents[2] / "vectors" / "emv.json").read_text(encoding="utf-8")
        )["merchant"]
    ]
    for scheme in ("promptpay", "pix", "paynow", "sgqr", "vietqr")
}


def published(scheme, at=0):
    """The account of a scheme in a published code."""
    return schemes(parse(VECTORS[scheme][at], is_complete=False))[scheme]


def test_promptpay_as_published():
    """By phone, however it is written; the zero of the national form goes, 0066 comes."""
    assert published("promptpay") == promptpay(phone="0801234567")
    assert published("promptpay") == promptpay(phone="+66 80-123-4567")
    assert promptpay(national_id="1234567890123").get("02") == "1234567890123"
    assert promptpay(e_wallet="123456789012345").get("03") == "123456789012345"


def test_a_promptpay_bill():
    """Biller and references; in its own account, 30."""
    bill = promptpay_bill("099999999999999", "INV1", "CUST2")

    assert ("30", "A000000677010112") == (bill.id, bill.get("00"))
    assert ("099999999999999", "INV1", "CUST2") == tuple(bill.get(i) for i in ("01", "02", "03"))


def test_pix_as_published():
    """The whole code, to the checksum."""
    account = pix("nubank@thalesog.com", "Gerado por Pix-Utils")
    made = merchant_code(
        [account],
        BRAZIL,
        "Thales Ogliari",
        "Sao Paulo",
        amount=100,
        additional=pix_reference(),
    )

    assert published("pix") == account
    # Theirs leaves out whether it is static.
    assert VECTORS["pix"][0] == render(
        type(parse(made))(tuple(f for f in parse(made).fields if f.id != "01"))
    )
    assert pix_url("pix.example/qr/v2/1").get("25") == "pix.example/qr/v2/1"
    assert pix_reference("TX1") == {"05": "TX1"}


def test_paynow_and_sgqr_as_published():
    """One label with both."""
    account = paynow(uen="202012345X", expires_on=20211231)
    label = sgqr(
        "202012345X123",
        version="01.0001",
        postal_code="828671",
        level="01",
        unit="123",
        misc="0000",
        renewed="20191231",
    )

    assert published("paynow") == account
    assert published("sgqr") == label
    assert VECTORS["paynow"][0] == merchant_code(
        [label, account],
        SINGAPORE,
        "RATINAN LEE",
        "SINGAPORE",
        postal_code="828761",
        additional={"01": "987654321X"},
    )
    assert paynow(mobile="+6591234567", is_editable=False).text().endswith("030100"[:4] + "0")


def test_vietqr_as_published():
    """Bank and account in a template within the template; dong have no cents."""
    assert published("vietqr") == vietqr("970415", "0011001932418")
    made = parse(merchant_code([vietqr("970415", "1")], VIETNAM, "Quan", "Hanoi", amount=120_000))
    assert (made.amount, made.get("53"), made.is_dynamic) == ("120000", "704", True)


def test_a_chinese_shop():
    """Its name in both languages."""
    text = merchant_code(
        [pix("x")], CHINA, "LAO WANG", "BEIJING", language=("ZH", "老王面馆", "北京")
    )

    assert parse(text).get("64", "01") == "老王面馆"
    assert not parse(text).is_dynamic


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: promptpay(), "29"),
        (lambda: promptpay(phone="0812345678", e_wallet="1" * 15), "29"),
        (lambda: promptpay(phone="12"), "29.01"),
        (lambda: promptpay(phone="081234567x"), "29.01"),
        (lambda: promptpay(national_id="123"), "29.02"),
        (lambda: promptpay(e_wallet="1" * 14), "29.03"),
        (lambda: promptpay_bill("1", "A"), "30.01"),
        (lambda: promptpay_bill("0" * 15, "lower"), "30.02"),
        (lambda: promptpay_bill("0" * 15, "A", "A" * 21), "30.03"),
        (lambda: pix_url("https://pix.example"), "26.25"),
        (lambda: pix_reference("with blank"), "62.05"),
        (lambda: paynow(), "26"),
        (lambda: paynow(uen="1", mobile="+6591234567"), "26"),
        (lambda: paynow(uen="short"), "26.02"),
        (lambda: paynow(mobile="91234567"), "26.02"),
        (lambda: paynow(uen="202012345X", expires_on=1), "26.04"),
        (lambda: sgqr("1", color="red"), "51"),
        (lambda: vietqr("97041", "1"), "38.01.00"),
        (lambda: vietqr("970415", ""), "38.01.01"),
        (lambda: merchant_code([pix("x")], CHINA, "A", "B", amount=0), "54"),
        (lambda: merchant_code([pix("x" * 100)], CHINA, "A", "B"), "26.01"),
        (lambda: upi_link("nobody", "A"), "pa"),
    ],
)
def test_what_no_scheme_would_take_is_not_made(make, path):
    """The place is named."""
    with pytest.raises(BadCode) as refused:
        make()

    assert path == refused.value.path


@given(st.integers(1, 10**12), st.sampled_from([0, 2, 3]))
def test_amounts_survive_both_ways(minor, exponent):
    """Minor units to text and back, without a float between."""
    assert minor == amount_minor(amount_text(minor, exponent), exponent)


@pytest.mark.parametrize(
    ("text", "exponent", "minor"),
    [("1", 2, 100), ("1.", 2, 100), ("1.5", 2, 150), ("12.00", 0, 12)],
)
def test_amounts_as_others_write_them(text, exponent, minor):
    """Fewer digits than the currency has are fine."""
    assert minor == amount_minor(text, exponent)


@pytest.mark.parametrize("text", ["", ".5", "1.005", "1,5", "-1", "1e3", "1.0.0", "١"])
def test_what_is_no_amount(text):
    """Finer than a cent, or no number."""
    with pytest.raises(BadCode):
        amount_minor(text, 2)


def test_a_upi_link():
    """A link, not a code: values are percent-encoded."""
    assert upi_link("shop@bank", "Chai & Co", 1050, reference="INV 1") == (
        "upi://pay?pa=shop@bank&pn=Chai%20%26%20Co&cu=INR&tr=INV%201&am=10.50"
    )
