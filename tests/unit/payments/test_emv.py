"""EMVCo's codes: published ones are read, made ones read back, wrong ones named."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments.emv import BadCode, Field, MerchantCode, crc16, parse, render
from payments.emv_templates import schemes

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "emv.json").read_text(encoding="utf-8")
)
PUBLISHED = pytest.mark.parametrize(
    "vector", VECTORS["merchant"], ids=[vector["source"][:24] for vector in VECTORS["merchant"]]
)
SAMPLE = VECTORS["merchant"][0]["payload"]


def sealed(body):
    """A text with the checksum that fits it: what is wrong in it is something else."""
    head = f"{body}6304"
    return f"{head}{crc16(head.encode()):04X}"


def tried(do, *args, **more):
    """What comes of it, or the one error that may."""
    try:
        return do(*args, **more)
    except BadCode as error:
        return error


def refused(text, **more):
    with pytest.raises(BadCode) as caught:
        parse(text, **more)
    return caught.value


@PUBLISHED
def test_published_codes_are_read(vector):
    """Every fact in it is where its publisher says."""
    code = parse(vector["payload"], is_complete=vector["is_complete"])

    assert vector["facts"] == {path: code.get(*path.split(".")) for path in vector["facts"]}
    assert vector["schemes"] == sorted(schemes(code))


@PUBLISHED
def test_published_codes_are_made_again(vector):
    """From their objects, to the character: order, lengths and checksum."""
    code = parse(vector["payload"], is_complete=vector["is_complete"])
    if len(vector["payload"]) > 512:
        with pytest.raises(BadCode, match="longer than 512 characters"):
            render(code)
    else:
        assert vector["payload"] == render(code, is_complete=vector["is_complete"])


def test_the_checksum_is_the_published_one():
    """CRC-16/CCITT-FALSE, by its check value; every byte counts."""
    said = VECTORS["crc"]
    assert int(said["crc"], 16) == crc16(said["text"].encode())
    assert crc16(b"") == 0xFFFF


def test_lengths_count_characters_and_the_checksum_bytes():
    """Four Chinese characters have length 04 and twelve bytes."""
    code = parse(SAMPLE)

    assert "0104最佳运输" in SAMPLE
    assert code.get("64", "01") == "最佳运输"
    assert len(SAMPLE.encode()) > len(SAMPLE)


@pytest.mark.parametrize("at", range(len(SAMPLE)))
def test_no_character_can_be_misread_unseen(at):
    """Another digit in its place is another checksum."""
    other = "0" if SAMPLE[at] != "0" else "1"

    assert refused(SAMPLE[:at] + other + SAMPLE[at + 1 :]).reason


GOOD = "000201520441115303156" + "5802CN5901N6001C" + "02161234567890123456"
WRONG = [
    # What stands in the text, where it is wrong, and what is said about it.
    (GOOD.replace("000201", ""), "00", "comes first"),
    (GOOD + "000201", "00", "twice"),
    (GOOD.replace("000201", "000202"), "00", "only"),
    (GOOD + "010213", "01", "11 (static) or 12"),
    (GOOD + "5", "", "ID and length"),
    (GOOD + "5x02ab", "", "ID and length"),
    (GOOD + "٥٤0212", "", "ID and length"),
    (GOOD + "5400", "54", "leave it out"),
    (GOOD + "540512.3", "54", "says 5, but 4"),
    (GOOD + "54051.2.3", "54", "one '.'"),
    (GOOD + "5403.50", "54", "one '.'"),
    (GOOD + "541412345678901.23", "54", "13 characters"),
    (GOOD + "5404-1.0", "54", "digits"),
    (GOOD + "550204", "55", "01 (ask)"),
    (GOOD + "550202", "56", "tip indicator 02"),
    (GOOD + "56031.0", "56", "tip indicator 02"),
    (GOOD + "550203", "57", "tip indicator 03"),
    (GOOD + "5502035703100", "57", "percentage"),
    (GOOD + "55020357040.00", "57", "percentage"),
    (GOOD.replace("5802CN", "5802cn"), "58", "capital"),
    (GOOD.replace("5802CN", ""), "58", "missing"),
    (GOOD.replace("5901N", "5926" + "N" * 26), "59", "longer than 25"),
    (GOOD.replace("6001C", "6016" + "C" * 16), "60", "longer than 15"),
    (GOOD.replace("52044111", "5203411"), "52", "four digits"),
    (GOOD.replace("5303156", "5303CNY"), "53", "three digits"),
    (GOOD.replace("02161234567890123456", ""), "02", "nobody to pay"),
    (GOOD + "26080104ABCD", "26.00", "missing"),
    (GOOD + "26040001A"[:-1], "26.00", "says 1, but 0"),
    (GOOD + "26370033" + "A" * 33, "26.00", "longer than 32"),
    (GOOD + "62040901", "62.09", "says 1, but 0"),
    (GOOD + "62060902AA", "62.09", "at most once"),
    (GOOD + "62085004" + "0101", "62.50.01", "says 1, but 0"),
    (GOOD + "620950050101A", "62.50.00", "missing"),
    (GOOD + "6406" + "0002ZH", "64.01", "missing"),
    (GOOD + "6407" + "0102AB1"[:7], "64", "ID and length"),
    (GOOD + "8001A", "80", "ID and length"),
    (GOOD + "63041234", "63", "last"),
    (GOOD.replace("5901N", "5902N\n"), "59", "control"),
]


@pytest.mark.parametrize(("body", "path", "words"), WRONG)
def test_what_is_wrong_is_named(body, path, words):
    """The object, by its path, and what would be right."""
    error = refused(sealed(body))

    assert (path, True) == (error.path, words in error.reason), error


def test_the_good_one_is_good():
    """The text that the table above spoils."""
    assert parse(sealed(GOOD)).get("59") == "N"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not end with"),
        ("6304", "does not end with"),
        (sealed(GOOD)[:-1], "does not end with"),
        (sealed(GOOD)[:-4] + "zzzz", "hexadecimal"),
        (sealed(GOOD)[:-4] + "0000", "scan it again"),
        (sealed(GOOD) + "5901N", "does not end with"),
        (sealed(GOOD)[:-4] + sealed(GOOD)[-4:].lower(), "hexadecimal"),
        (GOOD[:-1] + "\ud800" + "6304ABCD", "UTF-8"),
        ("0" * 2_954, "longer than 2953"),
    ],
)
def test_a_text_without_its_checksum_is_no_code(text, words):
    """It is last, four upper-case digits, and it fits."""
    assert words in refused(text).reason


def test_the_place_is_told():
    """In characters from the beginning: 26 is the eighth object."""
    error = refused(sealed(GOOD + "26060002A"))

    assert (error.path, error.at) == ("26", len(GOOD))
    assert str(error).startswith("26 at 57: its length says 6")


def test_codes_in_daily_use_may_lack_what_should_be_there():
    """Only when asked for, and whose an account is must be said all the same."""
    bare = sealed("000201" + "26100006SCHEME")

    assert refused(bare).path == "52"
    assert parse(bare, is_complete=False).accounts[0].get("00") == "SCHEME"
    assert refused(sealed("000201" + "26080104ABCD"), is_complete=False).path == "26.00"


@pytest.mark.parametrize(
    ("field", "path", "words"),
    [
        (Field("5", "x"), "5", "two digits"),
        (Field("65", ""), "65", "0 characters"),
        (Field("65", "x" * 100), "65", "100 characters"),
        (Field("26", "text"), "26", "template"),
        (Field("65", "", (Field("00", "x"),)), "65", "no template"),
        (Field("26", "", (Field("00", "A"), Field("01", "x" * 95))), "26", "104 characters"),
        (Field("63", "0000"), "63", "made here"),
        (Field("65", "\ud800"), "", "UTF-8"),
    ],
)
def test_nothing_is_made_that_could_not_be_read(field, path, words):
    """The same rules on the way out."""
    with pytest.raises(BadCode, match=words) as caught:
        render(MerchantCode((*parse(sealed(GOOD)).fields, field)))

    assert path == caught.value.path


# --- Laws -----------------------------------------------------------------------------------

text_of = lambda most: st.text(  # noqa: E731 - a strategy by another name
    st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=most
)
amounts = st.from_regex(r"\d{1,9}(\.\d{0,3})?", fullmatch=True)


@st.composite
def named_templates(draw, identifier):
    """An account or a free template: whose it is, and up to two objects."""
    inner = [Field("00", draw(text_of(32)))]
    more = draw(st.lists(st.integers(1, 99), unique=True, max_size=2))
    inner += [Field(f"{number:02}", draw(text_of(20))) for number in more]
    return Field(identifier, "", tuple(inner))


@st.composite
def codes(draw):
    """Codes of every kind that may be made."""
    fields = [
        Field("52", draw(st.from_regex(r"[0-9]{4}", fullmatch=True))),
        Field("53", draw(st.from_regex(r"[0-9]{3}", fullmatch=True))),
        Field("58", draw(st.from_regex(r"[A-Z]{2}", fullmatch=True))),
        Field("59", draw(text_of(25))),
        Field("60", draw(text_of(15))),
        draw(named_templates(str(draw(st.integers(26, 51))))),
    ]
    if draw(st.booleans()):
        fields.append(
            Field("54", draw(st.from_regex(r"[0-9]{1,9}(\.[0-9]{0,3})?", fullmatch=True)))
        )
    if draw(st.booleans()):
        fields.append(Field("64", "", (Field("00", "zh"), Field("01", draw(text_of(25))))))
    if draw(st.booleans()):
        scheme = draw(named_templates(str(draw(st.integers(50, 99)))))
        fields.append(Field("62", "", (Field("05", draw(text_of(10))), scheme)))
    if draw(st.booleans()):
        fields.append(draw(named_templates(str(draw(st.integers(80, 99))))))
    first = [Field("00", "01")]
    return MerchantCode((*first, *draw(st.permutations(fields))))


@given(codes())
def test_what_is_made_is_read_back(code):
    """All objects, in any order, with any text; or it is too long and not made at all."""
    text = tried(render, code)
    if isinstance(text, BadCode):
        assert "characters" in text.reason
    else:
        assert code == parse(text)
        assert text == render(parse(text))


def near(text):
    """Texts that are almost a code."""
    return st.builds(
        lambda start, length, middle: text[:start] + middle + text[start + length :],
        st.integers(0, len(text)),
        st.integers(0, 8),
        st.text(max_size=8),
    )


@given(st.one_of(st.text(), near(SAMPLE), near(SAMPLE[:-8]).map(lambda t: t + "6304A13A")))
@example("\ud800")
@example("6304" * 2)
def test_no_text_is_too_strange(text):
    """It is a code, or BadCode says why not; nothing else happens."""
    read = tried(parse, text, is_complete=False)

    assert read.reason if isinstance(read, BadCode) else read.fields[0].id == "00"


@given(st.one_of(near(GOOD), st.text("0123456789", max_size=120)))
def test_no_object_is_too_strange(body):
    """The same under a checksum that fits; what is read is made again to the character."""
    text = sealed(body.encode(errors="replace").decode())
    code = tried(parse, text, is_complete=False)

    assert isinstance(code, BadCode) or text == render(code, is_complete=False)
