"""Alipay's spelling of money and time.

Money on this wire is a decimal text in yuan with two places, "0.01" to "100000000.00"; inside it
is a whole number of fen. Time is "yyyy-MM-dd HH:mm:ss" in China's time zone, without saying so.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from payments.channels.alipay.wire import Unreadable

FEN_MIN: Final = 1
FEN_MAX: Final = 100_000_000_00
"""One hundred million yuan, the largest order that the interface takes."""

CHINA: Final = timezone(timedelta(hours=8))
TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"

MINUTE_MS: Final = 60_000
EXPRESS_MIN_MS: Final = MINUTE_MS
EXPRESS_MAX_MS: Final = 15 * 24 * 60 * MINUTE_MS
"""Relative expiries: whole minutes (m), hours (h) or days (d), one minute to fifteen days."""

_YUAN: Final = re.compile(r"(0|[1-9][0-9]{0,8})\.([0-9]{2})")
_ASKED: Final = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,2}))?")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_EXPRESS: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_EXPRESS_UNITS: Final = {"m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": 24 * 60 * MINUTE_MS}


def yuan(fen: int) -> str:
    """Fen as the wire's text. Never negative."""
    if not 0 <= fen <= FEN_MAX:
        raise ValueError(f"{fen} fen is no amount of this interface")
    whole, part = divmod(fen, 100)
    return f"{whole}.{part:02d}"


def fen(text: str, least: int = FEN_MIN) -> int:
    """The wire's text in fen: exactly two places, no sign, no blank. Raise Unreadable."""
    found = _YUAN.fullmatch(text)
    amount = -1 if found is None else int(found[1]) * 100 + int(found[2])
    if not least <= amount <= FEN_MAX:
        raise Unreadable("not an amount in yuan with two decimals")
    return amount


def asked_fen(text: str) -> int:
    """What a client may write in a request: up to two decimals ("1", "1.5"). Raise Unreadable."""
    found = _ASKED.fullmatch(text)
    if found is None:
        raise Unreadable("not an amount in yuan")
    return fen(f"{found[1]}.{(found[2] or '').ljust(2, '0')}")


def china_time(ms: int) -> str:
    """An instant (ms since 1970, UTC) as the wire writes it, cut to the second."""
    return datetime.fromtimestamp(ms // 1000, CHINA).strftime(TIME_FORMAT)


def instant_ms(text: str) -> int:
    """The wire's time as ms since 1970, UTC. Raise Unreadable."""
    if _TIME.fullmatch(text) is None:
        raise Unreadable("not a time of the form yyyy-MM-dd HH:mm:ss")
    try:
        moment = datetime.strptime(text, TIME_FORMAT).replace(tzinfo=CHINA)
    except ValueError as error:
        raise Unreadable("a time that no calendar has") from error
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000


def express_ms(text: str, now_ms: int) -> int:
    """How long a relative expiry lasts: "90m", "2h", "1d", or "1c" (until midnight in China)."""
    if text == "1c":
        return 86_400_000 - (now_ms + 8 * 60 * MINUTE_MS) % 86_400_000
    found = _EXPRESS.fullmatch(text)
    lasts = 0 if found is None else int(found[1]) * _EXPRESS_UNITS[found[2]]
    if not EXPRESS_MIN_MS <= lasts <= EXPRESS_MAX_MS:
        raise Unreadable("not a relative expiry from 1m to 15d")
    return lasts
