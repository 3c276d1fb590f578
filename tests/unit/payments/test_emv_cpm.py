"""EMVCo's consumer-presented codes: published ones are read, card data stays out of sight."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.barcodes import is_consumer_presented
from payments.emv import BadCode
from payments.emv_cpm import ConsumerCode, Data, application, parse, render

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "emv.json").read_text(encoding="utf-8")
)["consumer"]
PUBLISHED = pytest.mark.parametrize("vector", VECTORS, ids=["one application", "two, and more"])
HEAD = bytes.fromhex("85054350563031")
APP = bytes.fromhex("61094F07A0000000555555")


def paths(parts, above=""):
    for part in parts:
        path = f"{above}.{part.tag}" if above else part.tag
        yield path
        yield from paths(part.parts, path)


def tried(do, *args):
    """What comes of it, or the one error that may."""
    try:
        return do(*args)
    except BadCode as error:
        return error


def refused(raw):
    text = raw if isinstance(raw, str) else b64encode(raw).decode()
    with pytest.raises(BadCode) as caught:
        parse(text)
    return caught.value


@PUBLISHED
def test_published_codes_are_read_and_made_again(vector):
    """Applications in their order, templates within, and every byte of it."""
    code = parse(vector["text"])
    parts = [*code.applications, *([code.common] if code.common else [])]

    assert vector["aids"] == list(code.aids)
    assert vector["tags"] == list(paths(parts))
    assert vector["text"] == render(code)
    assert is_consumer_presented(vector["text"])


def test_the_sample_is_told_from_its_parts():
    """The published bytes, put together by hand."""
    vector = VECTORS[0]
    made = application("A0000000555555", t57=bytes.fromhex("1234567890123458D191220112345F"))

    assert vector["text"] == render(ConsumerCode((made,)))
    assert bytes.fromhex(vector["hex"]) == b64decode(vector["text"])


def test_card_data_is_in_no_repr():
    """Neither the account number nor the track."""
    for vector in VECTORS:
        shown = repr(parse(vector["text"]))
        assert "1234567890" not in shown
        assert "CARDHOLDER" not in shown


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ("", "85", "comes first"),
        ("hQVD", "85", "says 5, but 1"),
        ("not base64!", "", "not base64"),
        ("hQVDUFYwMW\u00e9", "", "not base64"),
        ("A" * 689, "", "longer than 688"),
        (bytes.fromhex("85054350563032") + APP, "85", "CPV01"),
        (HEAD, "61", "1 to 8 applications"),
        (HEAD + APP * 9, "61", "1 to 8 applications"),
        (HEAD + bytes.fromhex("6103500141"), "61.4F", "id of 5 to 16 bytes"),
        (HEAD + bytes.fromhex("61064F04A0000000"), "61.4F", "id of 5 to 16 bytes"),
        (HEAD + APP + HEAD, "85", "does not belong"),
        (HEAD + bytes.fromhex("62035A0112") + APP, "61", "before what they have in common"),
        (HEAD + APP + bytes.fromhex("62035A0112") * 2, "62", "twice"),
        (HEAD + b"\x61", "61", "no length"),
        (HEAD + b"\x61\x80", "61", "not a length"),
        (HEAD + b"\x61\x83\x00\x00\x01", "61", "not a length"),
        (HEAD + b"\x61\x81\x09" + APP[2:], "61", "shortest form"),
        (HEAD + b"\x9f", "", "not a tag"),
        (HEAD + b"\x00\x00", "", "not a tag"),
        (HEAD + b"\x9f\x80\x80\x80\x01\x00", "", "not a tag"),
        (HEAD + bytes.fromhex("6108630663046302" + "6300"), "61.63.63.63", "deeper than 4"),
    ],
)
def test_what_is_wrong_is_named(raw, path, words):
    """The object by its path; a tag that cannot be read has none."""
    error = refused(raw)

    assert (path, True) == (error.path, words in error.reason), error


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Data("4f", b"x"), "not a tag"),
        (Data("XY", b"x"), "hexadecimal"),
        (Data("9F", b"x"), "not a tag"),
        (Data("63", b"x"), "template"),
        (Data("5A", b"", (Data("50", b"x"),)), "no template"),
        (Data("50", b"x" * 600), "longer than 512"),
    ],
)
def test_nothing_is_made_that_could_not_be_read(part, words):
    """The same rules on the way out."""
    made = application("A0000000555555")
    spoiled = Data("61", b"", (*made.parts, part))
    with pytest.raises(BadCode, match=words):
        render(ConsumerCode((spoiled,)))


def test_an_application_id_is_hexadecimal():
    """Its text is told, not read."""
    with pytest.raises(BadCode, match="hexadecimal"):
        application("visa")


leaves = st.builds(
    Data,
    st.sampled_from(["50", "57", "5A", "5F20", "5F2D", "5F50", "9F08", "9F25", "DF8101"]),
    st.binary(max_size=150),
)
templates = st.builds(
    lambda tag, parts: Data(tag, b"", tuple(parts)),
    st.sampled_from(["63", "64"]),
    st.lists(leaves, max_size=3),
)
applications = st.builds(
    lambda aid, parts: Data("61", b"", (Data("4F", aid), *parts)),
    st.binary(min_size=5, max_size=16),
    st.lists(st.one_of(leaves, templates), max_size=3),
)
commons = st.none() | st.builds(
    lambda parts: Data("62", b"", tuple(parts)), st.lists(st.one_of(leaves, templates), max_size=3)
)


@given(st.lists(applications, min_size=1, max_size=8), commons)
def test_what_is_made_is_read_back(apps, common):
    """Long values too, whose length takes two and three bytes."""
    code = ConsumerCode(tuple(apps), common)
    text = tried(render, code)
    if isinstance(text, BadCode):
        assert "longer than" in text.reason
    else:
        assert code == parse(text)


@given(
    st.one_of(st.text(), st.binary(max_size=300).map(lambda raw: b64encode(HEAD + raw).decode()))
)
def test_no_text_is_too_strange(text):
    """It is a code, or BadCode says why not; nothing else happens."""
    code = tried(parse, text)

    assert code.reason if isinstance(code, BadCode) else text == render(code)


@given(st.integers(7, 60), st.binary(min_size=1, max_size=4))
def test_a_spoiled_code_is_no_other_code(at, patch):
    """Whatever is read from it is made again to the byte."""
    raw = bytearray(b64decode(VECTORS[1]["text"]))
    raw[at : at + len(patch)] = patch
    text = b64encode(bytes(raw)).decode()
    code = tried(parse, text)

    assert isinstance(code, BadCode) or text == render(code)
