"""Idempotency keys, preferences, kinds of body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.errors import UnsupportedMediaType
from gateway.headers import (
    check_content_type,
    idempotency_key,
    optional_idempotency_key,
    preferred_wait_s,
)
from payments.errors import Malformed


def sent(name, *values):
    return CIMultiDict([(name, value) for value in values])


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ("a b", "a b"),
        ('"a \\"b\\" \\\\"', 'a "b" \\'),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
        ('a"b', 'a"b'),
    ],
)
def test_a_key_is_quoted_or_bare(header, key):
    """Both ways name the same key."""
    assert key == idempotency_key(sent("idempotency-key", header))


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ('""',),
        ("x" * 256,),
        ('"a',),
        ('"a"b',),
        ('"a";p',),
        ("a\tb",),
        ("é",),
        ("a", "a"),
    ],
)
def test_a_key_that_is_missing_or_odd_is_malformed(values):
    """And the header is named."""
    with pytest.raises(Malformed) as refused:
        idempotency_key(sent("Idempotency-Key", *values))

    assert "Idempotency-Key" == refused.value.param


def test_a_key_may_be_optional_but_not_odd():
    """Cancel takes one, and needs none."""
    assert optional_idempotency_key(CIMultiDict()) is None
    assert "a" == optional_idempotency_key(sent("Idempotency-Key", "a"))
    with pytest.raises(Malformed):
        optional_idempotency_key(sent("Idempotency-Key", ""))


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ((), None),
        (("wait=0",), 0),
        (("wait=10",), 10),
        (("WAIT = 10",), 10),
        (('wait="10"',), 10),
        (("wait=10; x=y",), 10),
        (("wait=99",), 30),
        (("respond-async, wait=5",), 5),
        (("respond-async", "wait=5"), 5),
        (("wait=3, wait=9",), 3),
        (("return=minimal",), None),
        (("wait",), None),
        (("wait=",), None),
        (("wait=-1",), None),
        (("wait=1.5",), None),
        (("wait=soon, wait=4",), 4),
        (("waiting=4",), None),
    ],
)
def test_a_preference_for_waiting(values, seconds):
    """RFC 7240: a wish, capped at 30 s; what cannot be read is passed over."""
    assert seconds == preferred_wait_s(sent("Prefer", *values))


@given(st.text(max_size=60))
def test_no_preference_is_an_error(value):
    """A wish never fails a payment."""
    assert preferred_wait_s(sent("Prefer", value)) in (None, *range(31))


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json ; Charset="UTF-8"',
        "application/json;",
    ],
)
def test_json_in_utf_8_is_taken(value):
    """However it is spelled."""
    assert check_content_type(sent("Content-Type", value), b"{}") is None


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("text/plain",),
        ("application/x-www-form-urlencoded",),
        ("application/json;charset=gbk",),
        ("application/json, text/plain",),
        ("application/jsonp",),
        ("application/json", "application/json"),
    ],
)
def test_another_kind_of_body_is_refused(values):
    """415, before anybody reads it."""
    with pytest.raises(UnsupportedMediaType):
        check_content_type(sent("Content-Type", *values), b"{}")


def test_no_body_needs_no_kind():
    """A cancel may come with nothing at all."""
    assert check_content_type(CIMultiDict(), b"") is None
