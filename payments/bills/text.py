"""What all bills as text share: blocks of lines, exact amounts, instants in China, limits.

A million lines are read in seconds, so lines come in blocks and texts that return (amounts, times)
are looked up instead of taken apart again. Nothing here repeats what stands in a file: it holds
personal data.
"""

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import BinaryIO, Final, NoReturn

from payments.bills.lines import FILE_MAX_BYTES, BillRefused
from payments.calendar import CHINA_OFFSET_MINUTES, DAY_MS, business_date

BLOCK_BYTES: Final = 1_048_576
"""So much is read at one time."""

LINE_MAX_CHARACTERS: Final = 8_192
"""Longest line of a bill."""

UNPACK_RATIO_MAX: Final = 200
"""A packed file that grows by more than this is refused: bills grow by less than fifty."""

UNPACK_FREE_BYTES: Final = 1_048_576
"""Before that nothing is concluded from how much a file has grown."""

TEXTS_MAX: Final = 131_072
"""Texts kept with what they mean, of each kind; a full table stops growing."""

BOM: Final = "\ufeff"
GZIP_MAGIC: Final = b"\x1f\x8b"
DAMAGE: Final = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError)
"""What unpacking raises for a file that is cut, changed, or packed in an unknown way."""

_OFFSET_MS: Final = CHINA_OFFSET_MINUTES * 60_000
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MINUTE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} ([0-9]{2}):([0-9]{2})")


def is_gzip(file: BinaryIO) -> bool:
    """Whether a seekable file at its beginning is packed with gzip."""
    head = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return head == GZIP_MAGIC


def blocks(
    file: BinaryIO, encoding: str, packed_bytes: Callable[[], int] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text in blocks: (row of the block's first line, lines). Raise BillRefused.

    Lines end with LF, or all of them with CRLF. `packed_bytes`: how much of a packed file was used
    so far; None: it is not packed.
    """
    rest, row, size, end = b"", 1, 0, ""
    while chunk := _chunk(file):
        size += len(chunk)
        _check_size(size, packed_bytes)
        head, found, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > 4 * LINE_MAX_CHARACTERS:
            _too_long(row + (head.count(b"\n") + 1 if found else 0))
        if not found:
            continue
        text = _decoded(head, encoding, row)
        end = end or ("\r\n" if text.partition("\n")[0].endswith("\r") else "\n")
        lines = text.removesuffix("\r" if end == "\r\n" else "").split(end)
        if max(map(len, lines)) > LINE_MAX_CHARACTERS:
            _too_long(row + next(i for i, x in enumerate(lines) if len(x) > LINE_MAX_CHARACTERS))
        yield row, lines
        row += len(lines)
    if rest:
        text = _decoded(rest, encoding, row)
        if len(text) > LINE_MAX_CHARACTERS:
            _too_long(row)
        yield row, [text.removesuffix("\r") if end == "\r\n" else text]


def _chunk(file: BinaryIO) -> bytes:
    try:
        return file.read(BLOCK_BYTES)
    except DAMAGE:
        raise BillRefused("the packed file is cut or damaged") from None


def _check_size(size: int, packed_bytes: Callable[[], int] | None) -> None:
    if size > FILE_MAX_BYTES:
        raise BillRefused(
            f"the text has more than {FILE_MAX_BYTES} bytes",
            remedy="ask the channel for the bill of one sub-merchant at a time",
        )
    if packed_bytes is None or size <= UNPACK_FREE_BYTES:
        return
    if size > UNPACK_RATIO_MAX * max(packed_bytes(), 1):
        raise BillRefused(
            f"unpacked, the file is more than {UNPACK_RATIO_MAX} times as long",
            remedy="do not open it; ask the channel what this is",
        )


def _decoded(data: bytes, encoding: str, row: int) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = row + data.count(b"\n", 0, error.start)
        raise BillRefused(f"bytes that are no {encoding.upper()}", line) from None


def _too_long(row: int) -> NoReturn:
    raise BillRefused(f"a line of more than {LINE_MAX_CHARACTERS} characters", row)


class Decimals(dict[str, int]):
    """Decimal text to a whole number of its last place: with two places "1.5" is 150.

    At most so many places, at most 12 digits before them; a sign only where `signed`. A text of
    another form raises ValueError.
    """

    def __init__(self, places: int, *, signed: bool = False) -> None:
        super().__init__()
        sign = "-?" if signed else ""
        part = rf"(?:\.([0-9]{{1,{places}}}))?" if places else "()"
        self._form = re.compile(rf"({sign})(0|[1-9][0-9]{{0,11}}){part}")
        self._places = places
        self._point = "." if places else ""

    def __missing__(self, text: str) -> int:
        value = self._plain(text)
        if value is None:
            value = self._formed(text)
        if len(self) < TEXTS_MAX:
            self[text] = value
        return value

    def _plain(self, text: str) -> int | None:
        """The usual text, all places and no sign, without the cost of a regular expression."""
        point = len(text) - self._places - 1 if self._places else len(text)
        digits = text[:point] + text[point + 1 :]
        is_number = 0 < point <= 12 and digits.isdigit() and digits.isascii()
        if not is_number or text[point : point + 1] != self._point:
            return None
        return None if digits[0] == "0" and point > 1 else int(digits)

    def _formed(self, text: str) -> int:
        found = self._form.fullmatch(text)
        if found is None:
            raise ValueError("not an amount")
        part = (found[3] or "").ljust(self._places, "0") or "0"
        size: int = int(found[2]) * 10**self._places + int(part)
        return -size if found[1] else size


class Instants:
    """ "2026-11-21 08:30:00" in China to (milliseconds since 1970 UTC, yyyymmdd)."""

    def __init__(self) -> None:
        self._minutes: dict[str, tuple[int, int]] = {}

    def read(self, text: str) -> tuple[int, int]:
        """Raise ValueError for a text of another form, or a time that no calendar has."""
        minute = self._minutes.get(text[:16]) or self._minute(text[:16])
        return minute[0] + _SECONDS[text[16:]], minute[1]

    def _minute(self, text: str) -> tuple[int, int]:
        found = _MINUTE.fullmatch(text)
        if found is None:
            raise ValueError("not a time")
        try:
            day = date.fromisoformat(text[:10])
        except ValueError:
            raise ValueError("a day that no calendar has") from None
        hour, minute = int(found[1]), int(found[2])
        if hour > 23 or minute > 59:
            raise ValueError("not a time of day")
        value = (
            (day.toordinal() - _EPOCH_DAY) * DAY_MS + (hour * 60 + minute) * 60_000 - _OFFSET_MS,
            day.year * 10_000 + day.month * 100 + day.day,
        )
        if len(self._minutes) < TEXTS_MAX:
            self._minutes[text] = value
        return value


class _Seconds(dict[str, int]):
    def __missing__(self, text: str) -> int:
        raise ValueError("not a time of day")


_SECONDS: Final = _Seconds({f":{second:02d}": second * 1000 for second in range(60)})


def decimal(value: int, places: int = 2) -> str:
    """A whole number of the last place as decimal text: 150 is "1.50"."""
    whole, part = divmod(abs(value), 10**places)
    return f"{'-' if value < 0 else ''}{whole}.{part:0{places}d}"


def china_text(at_ms: int) -> str:
    """An instant as bills write it, "2026-11-21 08:30:00" in China, cut to the second."""
    day, of_day_ms = divmod(at_ms + _OFFSET_MS, DAY_MS)
    seconds = of_day_ms // 1000
    when = date.fromordinal(_EPOCH_DAY + day)
    return f"{when} {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def china_date(at_ms: int) -> int:
    """The day in China, yyyymmdd."""
    return business_date(at_ms)


def day_ms(bill_date: int) -> int:
    """The first instant of a day in China. Raise ValueError for a number that is no date."""
    day = date(bill_date // 10_000, bill_date // 100 % 100, bill_date % 100)
    return (day.toordinal() - _EPOCH_DAY) * DAY_MS - _OFFSET_MS


def next_date(bill_date: int) -> int:
    """The day after, yyyymmdd. Raise ValueError for a number that is no date, or the last one."""
    day = date(bill_date // 10_000, bill_date // 100 % 100, bill_date % 100)
    if day == date.max:
        raise ValueError("no calendar has a day after this one")
    day += timedelta(days=1)
    return day.year * 10_000 + day.month * 100 + day.day


def plain(text: str) -> str:
    """A text of people's as it may stand in a cell: what parts cells and lines becomes a blank."""
    return _PARTING.sub(" ", text)


_PARTING: Final = re.compile(r"[\x00-\x1f\x7f,`|\ufeff]|\r|\n")
