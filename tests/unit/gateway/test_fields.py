"""Structured fields: read like an independent implementation reads them, written canonically."""

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fields import (
    BadField,
    InnerList,
    Item,
    Token,
    parse_dictionary,
    parse_string,
    serialize_inner_list,
)

READ = [
    # text -> its one member
    ('a="x"', Item("x")),
    ('a="q\\"b\\\\"', Item('q"b\\')),
    ("a=5", Item(5)),
    ("a=-5", Item(-5)),
    ("a=:AAE=:", Item(b"\x00\x01")),
    ("a=::", Item(b"")),
    ("a=?0", Item(False)),
    ("a", Item(True)),
    ("a;x=1", Item(True, {"x": 1})),
    ("a=*tok/en:1", Item(Token("*tok/en:1"))),
    ("  a=1  ", Item(1)),
    ('a=("x";p  "y")', InnerList((Item("x", {"p": True}), Item("y")))),
    ('a=( );k="v"; b', InnerList((), {"k": "v", "b": True})),
]


@pytest.mark.parametrize(("text", "member"), READ)
def test_a_dictionary_is_read(text, member):
    """Strings, integers, bytes, booleans, tokens, lists, with parameters."""
    (found,) = parse_dictionary(text).values()

    assert member == found
    assert type(getattr(member, "value", None)) is type(getattr(found, "value", None))


def test_members_are_apart_by_commas():
    """With spaces and tabs around them."""
    assert ["a", "b", "c"] == list(parse_dictionary("a=1 ,\t b=2,c"))
    assert {} == parse_dictionary("")


@pytest.mark.parametrize(
    "text",
    [
        "a=",
        "A=1",
        "1a=1",
        "a=1,",
        "a=1 b=2",
        "a=1,,b=2",
        "a=1.5",
        "a=1234567890123456",
        "a=--1",
        "a=²",
        'a="x',
        'a="\\x"',
        'a="é"',
        "a=:A:",
        "a=:AB==:",
        "a=:AA:",
        "a=:AA==",
        "a=?2",
        'a=("x""y")',
        'a=("x"',
        "a=(x",
        "a;x=1;x=2",
        "a=1,a=2",
        "a;X=1",
        ",".join(f"k{n}" for n in range(9)),
        "a" + "".join(f";k{n}" for n in range(17)),
        "a=(" + " ".join("1" * 65) + ")",
    ],
)
def test_what_is_no_dictionary_is_refused(text):
    """Nor one that says a thing twice, or more than anybody needs."""
    with pytest.raises(BadField):
        parse_dictionary(text)


@pytest.mark.parametrize(("text", "value"), [('""', ""), ('"a b"', "a b"), ('"\\""', '"')])
def test_a_field_may_be_one_string(text, value):
    """As an Idempotency-Key is."""
    assert value == parse_string(text)


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
plain = printable | st.integers(-(10**15) + 1, 10**15 - 1) | st.booleans() | st.binary(max_size=20)
names = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,8}", fullmatch=True)
lists = st.builds(
    InnerList,
    st.lists(st.builds(Item, plain, st.dictionaries(names, plain, max_size=2)), max_size=4).map(
        tuple
    ),
    st.dictionaries(names, plain, max_size=4),
)


@given(lists)
def test_what_is_written_is_read_back(members):
    """By us, and by an implementation that shares no code with us."""
    text = serialize_inner_list(members)

    assert members == parse_dictionary(f"x={text}")["x"]
    theirs, parameters = http_sf.parse(f"x={text}".encode(), tltype="dictionary")["x"]
    assert [item.value for item in members.items] == [value for value, _ in theirs]
    assert members.parameters == parameters


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40))
def test_what_we_read_others_read_the_same(text):
    """We may be stricter than the standard, never different."""
    try:
        ours = parse_dictionary(text)
    except BadField:
        return
    theirs = http_sf.parse(text.encode(), tltype="dictionary")

    assert list(ours) == list(theirs)
    for name, member in ours.items():
        if isinstance(member, Item):
            assert str(member.value) == str(theirs[name][0])
