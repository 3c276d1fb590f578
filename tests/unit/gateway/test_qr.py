"""Codes are read back by another program: from the PNG, the SVG's strokes and the half blocks."""

import io
import re
import xml.etree.ElementTree as ElementTree

import pytest
import zxingcpp
from PIL import Image

from gateway import qr
from payments.errors import InvalidField

TEXTS = [
    "weixin://wxpay/bizpayurl/up?pr=NwY5Mz9",
    "https://qr.alipay.com/bax03431ljhokirwl38f00a7",
    "https://qr.95516.com/00010000/62212345678901234567890123456789",
    "http://127.0.0.1:8080/p/0123456789ABCDEFGHJKMNPQ0123456789abcdef",
    "00020101021129370016A000000677010111011300668012345675802TH530376463046197",
    "老王面馆 收款到账 38 元",
    "x",
    "A1b " * 500,
]
EACH_TEXT = pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
SVG = "{http://www.w3.org/2000/svg}"


def read(picture):
    """The text of the one code in a picture."""
    (found,) = zxingcpp.read_barcodes(picture)
    assert found.valid
    return found.text


def picture_of(rows, scale=4):
    """A picture of rows of modules; true is dark."""
    height, width = len(rows), len(rows[0])
    image = Image.new("L", (width, height), 255)
    image.putdata([0 if bit else 255 for row in rows for bit in row])
    return image.resize((width * scale, height * scale), Image.Resampling.NEAREST)


def strokes(svg):
    """The dark modules of an SVG drawn as strokes, as rows."""
    root = ElementTree.fromstring(svg)
    path = next(root.iter(f"{SVG}path")).attrib["d"]
    side = round(float(root.attrib["width"]) / qr.SCALE)
    rows = [[False] * side for _ in range(side)]
    x, y = 0.0, 0.0
    for verb, numbers in re.findall(r"([Mmh])([-0-9. ]+)", path):
        values = [float(number) for number in re.findall(r"-?[0-9.]+", numbers)]
        if verb == "M":
            x, y = values
        elif verb == "m":
            x, y = x + values[0], y + values[1]
        else:
            for column in range(int(x), int(x + values[0])):
                rows[int(y)][column] = True
            x += values[0]
    return rows


def blocks(text):
    """The modules that half blocks show."""
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    rows = []
    for line in text.split("\n"):
        rows += [[halves[c][0] for c in line], [halves[c][1] for c in line]]
    return rows


@EACH_TEXT
def test_a_png_is_read_back(text):
    """By a reader that knows nothing of us."""
    assert text == read(Image.open(io.BytesIO(qr.png(text))))


@EACH_TEXT
def test_an_svg_is_read_back(text):
    """Its strokes are the modules."""
    assert text == read(picture_of(strokes(qr.svg(text))))


@EACH_TEXT
def test_half_blocks_are_read_back(text):
    """Dark is the character's ink; the colors say so on any terminal."""
    plain = qr.terminal(text, colors=False)
    colored = qr.terminal(text, colors=True)

    assert text == read(picture_of(blocks(plain)))
    assert plain == re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert colored.count("\x1b[30;107m") == colored.count("\x1b[0m") == plain.count("\n") + 1


def test_a_quiet_zone_is_kept():
    """Four light modules on each side."""
    rows = strokes(qr.svg("x"))

    assert not any(any(row) for row in (*rows[:4], *rows[-4:]))
    assert not any(any(row[:4]) or any(row[-4:]) for row in rows)


@pytest.mark.parametrize("text", ["", "x" * 2_332, "\ud800", "老" * 800])
@pytest.mark.parametrize("draw", [qr.svg, qr.png, lambda text: qr.terminal(text, colors=False)])
def test_what_no_code_holds_is_refused(draw, text):
    """Nothing, too much, or half a character."""
    with pytest.raises(InvalidField):
        draw(text)
