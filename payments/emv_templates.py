"""Country templates over EMVCo's merchant-presented code: PromptPay, PIX, SGQR, PayNow, VietQR.

Each makes the account object of its scheme; `merchant_code` puts a whole code together. Sources:
the schemes' published guides; UPI is a link of its own and no EMVCo code.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from payments.emv import BadCode, Field, MerchantCode, render

PROMPTPAY_TRANSFER: Final = "A000000677010111"
PROMPTPAY_BILL: Final = "A000000677010112"
PIX: Final = "br.gov.bcb.pix"
SGQR: Final = "SG.SGQR"
PAYNOW: Final = "SG.PAYNOW"
VIETQR: Final = "A000000727"

SCHEMES: Final[Mapping[str, str]] = {
    PROMPTPAY_TRANSFER: "promptpay",
    PROMPTPAY_BILL: "promptpay_bill",
    PIX: "pix",
    SGQR: "sgqr",
    PAYNOW: "paynow",
    VIETQR: "vietqr",
}
"""The globally unique id in an account -> our word for the scheme."""

NO_REFERENCE: Final = "***"
"""PIX's word for "no txid"."""


class Country(Struct, frozen=True):
    """Where a code is at home: ISO 4217 number, digits after the point, ISO 3166 letters."""

    currency: str
    exponent: int
    country: str


THAILAND: Final = Country("764", 2, "TH")
BRAZIL: Final = Country("986", 2, "BR")
SINGAPORE: Final = Country("702", 2, "SG")
VIETNAM: Final = Country("704", 0, "VN")
CHINA: Final = Country("156", 2, "CN")


def amount_text(minor: int, exponent: int) -> str:
    """An amount of minor units as a code carries it: 3800 -> "38.00"."""
    if minor < 1:
        raise BadCode("an amount is at least one minor unit; leave it out to ask", "54")
    if not exponent:
        return str(minor)
    major, rest = divmod(minor, 10**exponent)
    return f"{major}.{rest:0{exponent}}"


def amount_minor(text: str, exponent: int) -> int:
    """Minor units of an amount in a code. Raise BadCode when it is finer than the currency."""
    major, _, rest = text.partition(".")
    extra = rest[exponent:].strip("0")
    if not major.isdigit() or not major.isascii() or (rest and not rest.isdigit()) or extra:
        raise BadCode("not an amount of this currency", "54")
    return int(major + rest[:exponent].ljust(exponent, "0"))


def merchant_code(
    accounts: Iterable[Field],
    country: Country,
    name: str,
    city: str,
    *,
    category: str = "0000",
    amount: int | None = None,
    is_dynamic: bool | None = None,
    additional: Mapping[str, str] | None = None,
    postal_code: str | None = None,
    language: tuple[str, str, str | None] | None = None,
) -> str:
    """The text of a whole code. Raise BadCode.

    `amount` in minor units; with one, the code is dynamic unless told otherwise. `additional`:
    objects of 62 by their ID. `language`: its letters, the name and the city in it.
    """
    dynamic = amount is not None if is_dynamic is None else is_dynamic
    fields = [
        Field("00", "01"),
        Field("01", "12" if dynamic else "11"),
        *sorted(accounts, key=lambda field: field.id),
        Field("52", category),
        Field("53", country.currency),
    ]
    if amount is not None:
        fields.append(Field("54", amount_text(amount, country.exponent)))
    fields += [Field("58", country.country), Field("59", name), Field("60", city)]
    if postal_code is not None:
        fields.append(Field("61", postal_code))
    if additional:
        fields.append(_template("62", additional))
    if language is not None:
        letters, local_name, local_city = language
        local = {"00": letters, "01": local_name, "02": local_city}
        fields.append(_template("64", {key: text for key, text in local.items() if text}))
    return render(MerchantCode(tuple(fields)))


def _template(identifier: str, values: Mapping[str, str]) -> Field:
    inner = tuple(Field(key, values[key]) for key in sorted(values))
    return Field(identifier, "", inner)


def _must(pattern: str, text: str, path: str, words: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise BadCode(words, path)
    return text


# --- Thailand -------------------------------------------------------------------------------

THAI_PHONE_DIGITS: Final = 13


def promptpay(*, phone: str = "", national_id: str = "", e_wallet: str = "") -> Field:
    """Account 29: a phone (0812345678 or +66812345678), a tax or national id, or an e-wallet."""
    if sum(map(bool, (phone, national_id, e_wallet))) != 1:
        raise BadCode("one of phone, national_id and e_wallet", "29")
    if phone:
        digits = re.sub(r"[ +-]", "", phone)
        local = digits.removeprefix("0066").removeprefix("66").removeprefix("0")
        _must(r"[1-9]\d{7,8}", local, "29.01", "not a Thai phone number")
        key, value = "01", f"66{local}".rjust(THAI_PHONE_DIGITS, "0")
    elif national_id:
        key, value = "02", _must(r"\d{13}", national_id, "29.02", "13 digits")
    else:
        key, value = "03", _must(r"\d{15}", e_wallet, "29.03", "15 digits")
    return _template("29", {"00": PROMPTPAY_TRANSFER, key: value})


def promptpay_bill(biller: str, reference_1: str, reference_2: str | None = None) -> Field:
    """Account 30: bill payment to a biller (15 digits) under one or two references."""
    _must(r"\d{15}", biller, "30.01", "15 digits")
    values = {"00": PROMPTPAY_BILL, "01": biller, "02": _reference(reference_1, "30.02")}
    if reference_2 is not None:
        values["03"] = _reference(reference_2, "30.03")
    return _template("30", values)


def _reference(text: str, path: str) -> str:
    return _must(r"[0-9A-Z]{1,20}", text, path, "1 to 20 digits and capital letters")


# --- Brazil ---------------------------------------------------------------------------------


def pix(key: str, text: str | None = None) -> Field:
    """Account 26 of a static PIX code: the receiver's key and a remark."""
    values = {"00": PIX, "01": key}
    if text is not None:
        values["02"] = text
    return _template("26", values)


def pix_url(url: str) -> Field:
    """Account 26 of a dynamic PIX code: where the charge is described, without `https://`."""
    if "://" in url:
        raise BadCode("the address stands without its scheme", "26.25")
    return _template("26", {"00": PIX, "25": url})


def pix_reference(txid: str | None = None) -> dict[str, str]:
    """The additional data of a PIX code: its txid, up to 25 letters and digits."""
    if txid is not None:
        _must(r"[0-9A-Za-z]{1,25}", txid, "62.05", "1 to 25 letters and digits")
    return {"05": txid or NO_REFERENCE}


# --- Singapore ------------------------------------------------------------------------------


def paynow(
    *, uen: str = "", mobile: str = "", is_editable: bool = True, expires_on: int | None = None
) -> Field:
    """Account 26: PayNow by company number or mobile (+65...). `expires_on`: yyyymmdd."""
    if bool(uen) is bool(mobile):
        raise BadCode("one of uen and mobile", "26")
    if uen:
        kind, value = "2", _must(r"[0-9A-Z]{9,13}", uen, "26.02", "not a company number (UEN)")
    else:
        kind, value = "0", _must(r"\+65[89]\d{7}", mobile, "26.02", "not a mobile: +65, 8 digits")
    values = {"00": PAYNOW, "01": kind, "02": value, "03": str(int(is_editable))}
    if expires_on is not None:
        values["04"] = _must(r"\d{8}", str(expires_on), "26.04", "yyyymmdd")
    return _template("26", values)


def sgqr(identity: str, **more: str) -> Field:
    """Account 51: SGQR's own label. `more`: version, postal_code, level, unit, misc, renewed."""
    names = {
        "version": "02",
        "postal_code": "03",
        "level": "04",
        "unit": "05",
        "misc": "06",
        "renewed": "07",
    }
    unknown = sorted(set(more) - set(names))
    if unknown:
        raise BadCode(f"{unknown[0]} is not part of an SGQR label", "51")
    return _template(
        "51", {"00": SGQR, "01": identity, **{names[key]: text for key, text in more.items()}}
    )


# --- Vietnam --------------------------------------------------------------------------------


def vietqr(bank: str, account: str, *, is_card: bool = False) -> Field:
    """Account 38: a bank's number (BIN, 6 digits) and an account or card at it."""
    _must(r"\d{6}", bank, "38.01.00", "six digits")
    _must(r"[0-9A-Za-z]{1,19}", account, "38.01.01", "1 to 19 letters and digits")
    beneficiary = f"00{len(bank):02}{bank}01{len(account):02}{account}"
    service = "QRIBFTTC" if is_card else "QRIBFTTA"
    return _template("38", {"00": VIETQR, "01": beneficiary, "02": service})


# --- Whose is it ----------------------------------------------------------------------------


def schemes(code: MerchantCode) -> dict[str, Field]:
    """The accounts of a code that are known here, by our word for their scheme."""
    found: dict[str, Field] = {}
    for account in code.accounts:
        scheme = SCHEMES.get(account.get("00") or "")
        if scheme is not None:
            found.setdefault(scheme, account)
    return found


def upi_link(
    payee: str, name: str, amount: int | None = None, *, reference: str = "", note: str = ""
) -> str:
    """India's deep link. `amount` in paise. Raise BadCode for an address that is none."""
    _must(r"[0-9A-Za-z.\-_]{2,256}@[A-Za-z]{2,64}", payee, "pa", "not an address like name@bank")
    values = {"pa": payee, "pn": name, "cu": "INR", "tr": reference, "tn": note}
    if amount is not None:
        values["am"] = amount_text(amount, 2)
    return "upi://pay?" + "&".join(
        f"{key}={quote(text, safe='@')}" for key, text in values.items() if text
    )
