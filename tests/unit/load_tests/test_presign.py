"""Requests are signed as RFC 9421 says, each once, and never ask for trouble by accident."""

import base64
import datetime
import json
import re

import pytest
import requests
from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from hypothesis import given
from hypothesis import strategies as st

from load_tests import presign
from load_tests.presign import Plan
from load_tests.signing import MerchantKey, get_headers

AUTHORITY = "127.0.0.1:8080"
CODES = re.compile(r"1[0-5]\d{16}|(?:2[5-9]|30)\d{16}|62\d{17}")


class Resolver(HTTPSignatureKeyResolver):
    def __init__(self, keys):
        self.keys = {key.key_id: key for key in keys}

    def resolve_public_key(self, key_id):
        return base64.b64decode(self.keys[key_id].secret.removeprefix("hs_test_"))


def verify(keys, method, url, headers, body):
    """Verify with an implementation that is not ours; return what the signature covers."""
    message = requests.Request(method, url, headers=headers, data=body).prepare()
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Resolver(keys)
    )
    (result,) = verifier.verify(message, max_age=datetime.timedelta(seconds=300))
    return result


def split(line):
    """Path, headers and body of a request line."""
    path, *fields, body = line.split("\t")
    headers = dict(field.split(": ", 1) for field in fields)
    return path, headers, body


def lines_of(keys, count, **options):
    plan = Plan(keys, AUTHORITY, tag=7, count=count, **options)
    return list(presign.request_lines(plan, presign.now_s()))


@pytest.mark.parametrize("send_merchant", [False, True])
def test_an_independent_verifier_accepts_every_request(keys, send_merchant):
    """Method, authority, path, query, digest and idempotency key are covered, with a nonce."""
    for line in lines_of(keys, 12, send_merchant=send_merchant):
        path, headers, body = split(line)

        result = verify(keys, "POST", f"http://{AUTHORITY}{path}", headers, body.encode())

        covered = list(result.covered_components)
        expected = ["@method", "@authority", "@path", "@query", "content-digest"]
        expected += ["idempotency-key"] + ["tillway-merchant"] * send_merchant
        expected += ["@signature-params"]
        assert [f'"{name}"' for name in expected] == covered
        assert {"created", "keyid", "nonce"} == set(result.parameters)


def test_the_signature_covers_the_body(keys):
    """A body that was changed on the way has another digest, and a changed digest is refused."""
    path, headers, body = split(lines_of(keys, 1)[0])
    other = split(lines_of(keys, 2)[1])[1]["Content-Digest"]

    with pytest.raises(InvalidSignature):
        verify(
            keys,
            "POST",
            f"http://{AUTHORITY}{path}",
            {**headers, "Content-Digest": other},
            body.encode(),
        )


def test_an_independent_verifier_accepts_a_signed_get(keys):
    """A GET covers the digest of its empty body and its query."""
    headers = get_headers(keys[0], AUTHORITY, "/v1/payments", "order_no=L1", presign.now_s())

    result = verify(keys, "GET", f"http://{AUTHORITY}/v1/payments?order_no=L1", headers, b"")

    assert "key_0" == result.parameters["keyid"]
    assert "nonce" not in result.parameters


def test_nothing_is_used_twice(keys):
    """Order number, idempotency key, nonce and auth code belong to one request of one run."""
    first = lines_of(keys, 500)
    plan = Plan(keys, AUTHORITY, tag=8, count=500)
    lines = first + list(presign.request_lines(plan, presign.now_s()))

    split_lines = [split(line) for line in lines]
    bodies = [json.loads(body) for _, _, body in split_lines]
    for values in (
        [body["order_no"] for body in bodies],
        [body["auth_code"] for body in bodies],
        [headers["Idempotency-Key"] for _, headers, _ in split_lines],
        [re.search('nonce="([^"]+)"', h["Signature-Input"])[1] for _, h, _ in split_lines],
    ):
        assert len(lines) == len(set(values))


@given(st.integers(0, 10**presign.TAG_DIGITS - 1), st.integers(0, 10**presign.SEQUENCE_DIGITS - 1))
def test_auth_codes_have_a_wallets_form_and_never_a_reserved_ending(tag, sequence):
    """Endings 9001 to 9012 make the simulated channel misbehave: a load run must not use them."""
    code = presign.auth_code(tag, sequence)

    assert CODES.fullmatch(code), code
    assert int(code[-4:]) not in presign.RESERVED_ENDINGS


def test_payments_spread_over_merchants_and_terminals(keys):
    """Every terminal of every merchant gets its share."""
    bodies = [json.loads(split(line)[2]) for line in lines_of(keys, 60)]

    counts = {}
    for body in bodies:
        counts[body["terminal"]] = counts.get(body["terminal"], 0) + 1

    assert {terminal: 10 for key in keys for terminal in key.terminals} == counts


def test_a_plan_may_continue_where_another_ended(keys):
    """The same payments come out whether they are prepared in one part or in two."""
    plan = Plan(keys, AUTHORITY, tag=7, count=10)
    parts = [Plan(keys, AUTHORITY, 7, 4), Plan(keys, AUTHORITY, 7, 6, first=4)]

    whole = list(presign.request_lines(plan, 1))

    assert whole == [line for part in parts for line in presign.request_lines(part, 1)]


def test_tags_differ():
    """Two request files of one process never share an order number."""
    tags = [presign.fresh_tag() for _ in range(100)]

    assert 100 == len(set(tags))


def test_the_file_has_one_request_a_line(keys, tmp_path):
    """A body holds neither a tab nor a line end, so lines and fields are unambiguous."""
    path = tmp_path / "requests"

    created = presign.write_requests(Plan(keys, AUTHORITY, tag=7, count=25), path)

    lines = path.read_text().splitlines()
    assert 25 == len(lines)
    assert {6} == {len(line.split("\t")) for line in lines}
    assert all(f";created={created};" in line for line in lines)


def test_raw_requests_say_how_long_their_body_is(keys):
    """The bytes of a request line are one HTTP/1.1 request."""
    (line,) = lines_of(keys, 1)

    head, _, body = presign.raw_request(line, AUTHORITY).partition(b"\r\n\r\n")

    assert head.startswith(b"POST /v1/payments HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert split(line)[2].encode() == body


@pytest.mark.parametrize(
    "wrong",
    [
        {"tag": 10**presign.TAG_DIGITS},
        {"tag": -1},
        {"count": presign.REQUESTS_MAX + 1},
        {"keys": []},
    ],
)
def test_impossible_plans_are_refused(keys, wrong):
    """A plan that would repeat itself cannot be built."""
    plan = {"keys": keys, "authority": AUTHORITY, "tag": 1, "count": 1, **wrong}

    with pytest.raises(ValueError, match=r"tag|requests|merchant"):
        Plan(**plan)


def test_a_merchant_without_terminals_is_refused():
    """There is nowhere to pay."""
    with pytest.raises(ValueError, match="terminal"):
        MerchantKey("mch_1", "key_1", "hs_test_AA==", ())
