"""`tillway qr`: codes of texts and payments, drawn or read."""

import io
import json

import pytest
import zxingcpp
from PIL import Image

from gateway.cli import app as cli
from gateway.cli import client

OK, CHECK_FAILED, USAGE = 0, 1, 2
PROMPTPAY = "00020101021129370016A000000677010111011300668012345675802TH530376463046197"
CONSUMER = "hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8="


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line; (exit code, output, complaints)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tillway", "qr", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def answers(monkeypatch):
    """What a server would say to the next questions."""
    said = []

    async def call(*question):
        return said.pop(0)

    monkeypatch.setattr(client, "_call", call)
    monkeypatch.setenv("TILLWAY_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("TILLWAY_API_KEY", "sk_test_1")
    return said


def read(path):
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(path.read_bytes())))
    return found.text


@pytest.mark.parametrize("before", [[], ["encode"]])
def test_a_text_is_drawn_in_the_terminal(run, before):
    """`qr TEXT` and `qr encode TEXT` are the same; no colors into a pipe."""
    code, out, _ = run(*before, "weixin://x")

    assert OK == code
    assert "█▀▀▀▀▀█" in out
    assert "\x1b" not in out


def test_files_are_written(run, tmp_path):
    """Both at once, if wanted; a reader reads the PNG."""
    picture, drawing = tmp_path / "a.png", tmp_path / "a.svg"

    code, out, _ = run("weixin://x", "--png", picture, "--svg", drawing)

    assert (OK, f"wrote {drawing}\nwrote {picture}\n") == (code, out)
    assert read(picture) == "weixin://x"
    assert drawing.read_bytes().startswith(b"<svg")


def test_a_payments_own_code_is_drawn(run, answers, tmp_path):
    """What the till would show."""
    answers.append({"id": "pay_1", "code": {"payload": "https://qr.example/1"}})

    code, out, _ = run("--payment", "pay_1", "--png", tmp_path / "a.png", "--json")

    shown = json.loads(out)
    assert (OK, "https://qr.example/1", "pay_1") == (code, shown["payload"], shown["payment"])
    assert [str(tmp_path / "a.png")] == shown["files"]
    assert read(tmp_path / "a.png") == "https://qr.example/1"


def test_a_payment_that_is_over_has_no_code(run, answers):
    """Exit 1, and why."""
    answers.append({"id": "pay_1", "status": "succeeded", "code": None})

    assert (CHECK_FAILED, "", "tillway: pay_1 shows no code: it is succeeded\n") == run(
        "--payment", "pay_1"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["encode"],
        ["x", "--payment", "pay_1"],
        ["x" * 3_000],
        ["x", "--png", "/nowhere/at/all.png"],
        ["x", "--color", "red"],
    ],
)
def test_what_cannot_be_drawn_is_usage(run, arguments):
    """Neither text nor payment, both, too much, or a file that cannot be."""
    assert USAGE == run(*arguments)[0]


def test_a_merchants_code_is_read(run):
    """Each object by its path."""
    code, out, _ = run("decode", PROMPTPAY, "--json")

    shown = json.loads(out)
    assert (OK, "merchant_presented") == (code, shown["kind"])
    assert {"object": "29.01", "value": "0066801234567"} in shown["fields"]


def test_card_data_of_a_payer_is_not_shown(run):
    """Of a consumer-presented code: tags, lengths and the application's id."""
    code, out, _ = run("decode", CONSUMER)

    assert OK == code
    assert "A0000000555555" in out
    assert "61.57   (15 bytes)" in out
    assert "1234567890" not in out


def test_a_payers_digits_are_told_but_not_repeated(run):
    """They are money while they live."""
    code, out, _ = run("decode", "130000000000000001")

    assert (OK, True, False) == (code, "wechat" in out, "130000" in out)


def test_any_other_text_is_a_text(run):
    """A link, for example."""
    assert "weixin://x" in run("decode", "weixin://x")[1]


def test_a_misread_code_fails(run):
    """Exit 1, with what and where."""
    code, out, err = run("decode", PROMPTPAY[:-1] + "8")

    assert (CHECK_FAILED, "") == (code, out)
    assert "63 at 66: the checksum does not fit" in err
