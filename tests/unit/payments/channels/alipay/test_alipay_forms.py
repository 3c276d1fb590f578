"""Forms as the standard library writes and reads them, whatever stands in them."""

from urllib.parse import parse_qsl, urlencode

from hypothesis import given
from hypothesis import strategies as st

from payments.channels.alipay import wire

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_a_form_is_what_the_standard_library_makes_of_it(params):
    """Our table is only faster."""
    assert urlencode(params) == wire.form(params)


def test_every_ascii_character_is_quoted_and_read_back():
    """Blank, controls, and what has a meaning of its own."""
    text = "".join(map(chr, range(128)))

    assert [("a", text), (text, "b")] == parse_qsl(wire.form({"a": text, text: "b"}))
