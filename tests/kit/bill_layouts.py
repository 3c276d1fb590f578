"""The layouts of channels' bills behind one face, and random lines that each of them can hold.

`LAYOUTS` maps a name to a `Layout`: how lines become a file and a file becomes lines. `days` draws
the lines of one day; every layout but WeChat Pay's SUCCESS and REFUND holds all of them.
"""

import gzip
import io
from collections.abc import Callable

from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from payments.bills.lines import BillKind, BillLine, BillState
from payments.channels.alipay import bill as alipay
from payments.channels.unionpay import bill as unionpay
from payments.channels.wechat import bill as wechat

DATE = 20261121
MIDNIGHT_MS = 1_795_190_400_000
"""When DATE begins in China."""

DAY_S = 86_400
ACCOUNT = "2088000000000001"


class Layout(Struct, frozen=True):
    """`holds`: whether a line can stand in such a file. `is_packed`: it carries a checksum of all
    its bytes, so that no change of them goes unseen.
    """

    channel: str
    write: Callable[[list[BillLine]], bytes]
    read: Callable[..., list[BillLine]]
    is_packed: bool = False
    holds: Callable[[BillLine], bool] = lambda line: True


def _wechat(kind: wechat.BillType, lines: list[BillLine]) -> bytes:
    details = wechat.Details(appid="wx88", payer="oUpF8", goods="two bowls, hot", rate_ppm=6_000)
    told = [(line, replace(details, paid_ms=line.at_ms - 60_000)) for line in lines]
    return b"".join(wechat.write(kind, told))


def _alipay(lines: list[BillLine]) -> bytes:
    told = [(line, alipay.Details(subject="两碗面, hot", created_ms=line.at_ms)) for line in lines]
    return alipay.write(ACCOUNT, DATE, told, MIDNIGHT_MS + DAY_S * 1000)


def _unionpay(lines: list[BillLine]) -> bytes:
    return b"".join(unionpay.write(unionpay.Head(ACCOUNT, DATE), lines))


def _reading(reader: Callable) -> Callable[..., list[BillLine]]:
    """The lines of a file as if they came from none: `row` is about the file."""

    def read(data: bytes, bill_date: int | None = DATE) -> list[BillLine]:
        return [replace(line, row=0) for line in reader(io.BytesIO(data), bill_date)]

    return read


def _is_payment(line: BillLine) -> bool:
    return line.kind is BillKind.PAYMENT


LAYOUTS = {
    "wechat": Layout(
        "wechat", lambda lines: _wechat(wechat.BillType.ALL, lines), _reading(wechat.read)
    ),
    "wechat, packed": Layout(
        "wechat",
        lambda lines: gzip.compress(_wechat(wechat.BillType.ALL, lines), mtime=0),
        _reading(wechat.read),
        is_packed=True,
    ),
    "wechat, payments": Layout(
        "wechat",
        lambda lines: _wechat(wechat.BillType.SUCCESS, lines),
        _reading(wechat.read),
        holds=_is_payment,
    ),
    "wechat, refunds": Layout(
        "wechat",
        lambda lines: _wechat(wechat.BillType.REFUND, lines),
        _reading(wechat.read),
        holds=lambda line: not _is_payment(line),
    ),
    "alipay": Layout("alipay", _alipay, _reading(alipay.read), is_packed=True),
    "unionpay": Layout("unionpay", _unionpay, _reading(unionpay.read), is_packed=True),
}


@st.composite
def days(draw: st.DrawFn, layout: Layout, max_size: int = 6) -> list[BillLine]:
    """Lines of one day as the layout's channel would have them."""
    lines = draw(st.lists(_lines(layout.channel), max_size=max_size))
    return [line for line in lines if layout.holds(line)]


@st.composite
def _lines(draw: st.DrawFn, channel: str) -> BillLine:
    digits = st.text("0123456789", min_size=6, max_size=28)
    kind, state = draw(
        st.sampled_from(
            [
                (BillKind.PAYMENT, BillState.SUCCEEDED),
                (BillKind.REFUND, BillState.SUCCEEDED),
                (BillKind.REFUND, BillState.REVERSED),
            ]
        )
    )
    amount = draw(st.integers(1, 100_000_000_00))
    own = draw(st.integers(0, amount))
    given = draw(st.integers(0, amount - own))
    has_number = kind is BillKind.REFUND and state is BillState.SUCCEEDED
    has_theirs = kind is BillKind.REFUND and channel != "alipay"
    return BillLine(
        channel,
        ACCOUNT,
        kind,
        draw(st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ_-", min_size=1, max_size=32)),
        "R" + draw(digits) if has_number else "",
        "42" + draw(digits),
        "50" + draw(digits) if has_theirs else "",
        MIDNIGHT_MS + draw(st.integers(0, DAY_S - 1)) * 1000,
        DATE,
        state,
        "cny",
        amount,
        amount - own,
        amount - own - given,
        given,
        own,
        draw(st.integers(0, amount - own)),
        "" if channel == "alipay" else draw(st.sampled_from(["", "1900000109"])),
    )
