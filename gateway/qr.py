"""QR codes as pictures: SVG for pages, PNG for files, half blocks for terminals."""

import io
from typing import Final

import segno

from payments.errors import InvalidField

TEXT_BYTES_MAX: Final = 2_331
"""What the largest code holds at the level of correction that a screen needs (M)."""

SCALE: Final = 6
QUIET_ZONE: Final = 4
"""Light modules around the code: fewer, and readers fail."""

SVG: Final = "image/svg+xml"
PNG: Final = "image/png"

DARK_ON_LIGHT: Final = "\x1b[30;107m"
RESET: Final = "\x1b[0m"
_BLOCKS: Final = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
"""Two modules, one above the other, as one character; 1 is dark."""


def _code(text: str) -> segno.QRCode:
    """The code of a text: as much correction as fits into the size that level M needs."""
    if not text or len(text.encode(errors="replace")) > TEXT_BYTES_MAX:
        raise InvalidField(f"a code holds 1 to {TEXT_BYTES_MAX} bytes", param="text")
    try:
        return segno.make(text, micro=False, error="m")
    except (UnicodeEncodeError, segno.DataOverflowError):
        raise InvalidField("this text cannot be written as a code", param="text") from None


def svg(text: str) -> bytes:
    """The code as one SVG element, for a page or a file of its own."""
    picture = io.BytesIO()
    _code(text).save(
        picture, kind="svg", scale=SCALE, border=QUIET_ZONE, xmldecl=False, svgns=True, nl=False
    )
    return picture.getvalue()


def png(text: str) -> bytes:
    """The code as a PNG of two colors."""
    picture = io.BytesIO()
    _code(text).save(picture, kind="png", scale=SCALE, border=QUIET_ZONE)
    return picture.getvalue()


def terminal(text: str, *, colors: bool) -> str:
    """The code in half blocks. `colors`: dark on light whatever the terminal's own colors are."""
    rows = [[int(bit) for bit in row] for row in _code(text).matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    lines = [
        "".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
    if colors:
        lines = [f"{DARK_ON_LIGHT}{line}{RESET}" for line in lines]
    return "\n".join(lines)
