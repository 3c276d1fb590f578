"""Alipay's signed texts: the vendor's published vectors, and what must not pass for them."""

import json
from base64 import b64decode
from pathlib import Path
from urllib.parse import quote_plus, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from payments.channels.alipay import wire
from payments.channels.alipay.wire import Unreadable

VECTORS = json.loads((Path(__file__).parents[4] / "vectors" / "alipay.json").read_text())
METHOD = "alipay.trade.query"


@pytest.fixture(scope="module")
def key():
    return generate_private_key(public_exponent=65537, key_size=2048)


# --- the published vectors -------------------------------------------------------------------


def test_the_published_notification_verifies():
    """Without `sign` and `sign_type`, empties dropped, sorted, raw: the vendor's own example."""
    vector = VECTORS["notify"]
    text = wire.notice_text(vector["params"])
    public = wire.load_public_key(vector["alipay_public_key_der_b64"])

    assert vector["string_to_verify"] == text
    assert wire.verify(public, text.encode(), vector["params"]["sign"])


def test_the_published_notification_fails_as_a_request():
    """With `sign_type` kept, as requests have it, the same notification does not verify."""
    vector = VECTORS["notify"]
    text = wire.request_text(vector["params"])
    public = wire.load_public_key(vector["alipay_public_key_der_b64"])

    assert "sign_type=RSA2" in text
    assert not wire.verify(public, text.encode(), vector["params"]["sign"])


def test_the_published_answer_verifies_by_its_raw_substring():
    vector = VECTORS["response"]
    answer = wire.split(vector["raw"].encode(), "alipay.open.file.upload")
    public = wire.load_public_key(vector["public_key_pem"])

    assert vector["signed_substring"].encode() == answer.content
    assert answer.signature is not None
    assert wire.verify(public, answer.content, answer.signature)
    assert not wire.verify(public, answer.content + b" ", answer.signature)


def test_the_published_encrypted_text():
    vector = VECTORS["aes"]
    key = b64decode(vector["key_b64"])

    assert vector["ciphertext_b64"] == wire.encrypt(key, vector["plaintext"].encode())
    assert vector["plaintext"].encode() == wire.decrypt(key, vector["ciphertext_b64"])


# --- requests --------------------------------------------------------------------------------


def test_a_request_signs_raw_values_sorted_with_its_sign_type():
    params = {
        "method": "alipay.trade.pay",
        "sign_type": "RSA2",
        "biz_content": '{"subject":"a&b=c 大"}',
        "app_auth_token": "",
        "sign": "x",
        "app_id": "1",
    }

    expected = 'app_id=1&biz_content={"subject":"a&b=c 大"}&method=alipay.trade.pay&sign_type=RSA2'
    assert expected == wire.request_text(params)


@pytest.mark.parametrize("sign_type", wire.SIGN_TYPES)
def test_what_is_signed_verifies_and_nothing_else(key, sign_type):
    signature = wire.sign(key, b"text", sign_type)
    other = "RSA" if sign_type == "RSA2" else "RSA2"

    assert wire.verify(key.public_key(), b"text", signature, sign_type)
    assert not wire.verify(key.public_key(), b"test", signature, sign_type)
    assert not wire.verify(key.public_key(), b"text", signature, other)
    assert not wire.verify(key.public_key(), b"text", signature, "MD5")


@pytest.mark.parametrize("signature", ["", "=", "AAAA", "é", "not base64!", " " * 344])
def test_a_signature_that_is_none_is_wrong_and_no_error(key, signature):
    assert not wire.verify(key.public_key(), b"text", signature)


def test_keys_come_as_pem_or_as_bare_base64(key):
    """The vendor's tools print base64 without its PEM lines."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    bare = "".join(pem.splitlines()[1:-1])

    for text in (pem, old, bare):
        assert key.private_numbers() == wire.load_private_key(text).private_numbers()
    assert key.public_key().public_numbers() == wire.load_public_key(public).public_numbers()
    for text in ("", "x", public, "AAAA"):
        with pytest.raises(Unreadable):
            wire.load_private_key(text)
    for text in ("", "x", pem, "AAAA"):
        with pytest.raises(Unreadable):
            wire.load_public_key(text)


# --- forms -----------------------------------------------------------------------------------

PARAMS = {"charset": "utf-8", "method": METHOD, "biz_content": '{"subject":"大 杯+1%&"}'}


@pytest.mark.parametrize("in_query", [(), ("charset",), ("charset", "method"), tuple(PARAMS)])
def test_query_and_body_are_one_set_of_parameters(in_query):
    """Clients divide them as they like."""
    query = urlencode({k: PARAMS[k] for k in in_query})
    body = urlencode({k: v for k, v in PARAMS.items() if k not in in_query})

    assert PARAMS == wire.merged(query, body.encode())


def test_the_charset_may_stand_in_the_query_only():
    """And decides about the body: a form in GBK is read as GBK."""
    body = "biz_content=" + quote_plus('{"subject":"中杯"}', encoding="gbk")

    merged = wire.merged("charset=GBK", body.encode())

    assert {"charset": "GBK", "biz_content": '{"subject":"中杯"}'} == merged


def test_a_name_that_comes_twice_keeps_its_first_value():
    assert {"a": "1", "b": "2"} == wire.merged("a=1", b"b=2&a=3")


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("charset=utf-7", b""),
        ("a=%ff", b""),
        ("charset=gbk&a=%ff%ff", b""),
        ("", b"a=\xff"),
        ("&".join(f"k{i}=1" for i in range(wire.PARAMS_MAX + 1)), b""),
    ],
)
def test_forms_that_cannot_be_read_are_refused(query, body):
    with pytest.raises(Unreadable):
        wire.merged(query, body)


# --- answers ---------------------------------------------------------------------------------

CONTENTS = [
    "{}",
    '{"code":"10000","url":"https:\\/\\/e.org\\/a"}',
    '{"a":{"b":[{"c":"}"}]},"d":"\\"}{\\\\"}',
    '{ "code" : "10000" ,\n "sub_msg":"\\u5927大" }',
    '{"sign":"inner","x":"\\",\\"sign\\":\\"y\\""}',
]


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("charset", ["utf-8", "GBK"])
def test_the_signed_part_is_found_byte_for_byte(content, charset):
    """Escaped slashes, nested braces, braces and quotes inside of texts, blanks."""
    name = wire.response_name(METHOD)
    body = wire.joined(name, content, "c2ln").encode(charset)

    answer = wire.split(body, METHOD, charset)

    assert wire.Answer(name, content.encode(charset), "c2ln") == answer


def test_the_signature_stands_directly_behind_the_response():
    """The official client finds it by a pattern."""
    assert '{"x_response":{"a":"1"},"sign":"s"}' == wire.joined("x_response", '{"a":"1"}', "s")
    assert '{"x":{},"sign":"s","alipay_cert_sn":"n"}' == wire.joined("x", "{}", "s", "n")


def test_members_may_stand_in_any_order_and_blanks_between():
    body = b' { "alipay_cert_sn":"n", "sign" : "s" , "alipay_trade_query_response" : {"a":1} } '

    answer = wire.split(body, METHOD)

    assert wire.Answer("alipay_trade_query_response", b'{"a":1}', "s", "n") == answer


def test_a_gateway_error_may_have_its_own_name_and_no_signature():
    answer = wire.split(b'{"error_response":{"code":"20000"}}', METHOD)

    assert wire.Answer("error_response", b'{"code":"20000"}', None) == answer


def test_what_is_read_is_what_was_verified():
    """Of a response that comes twice only the verified one is ever handed out."""
    body = b'{"alipay_trade_query_response":{"a":1},"alipay_trade_query_response":{"a":2}}'

    assert b'{"a":2}' == wire.split(body, METHOD).content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>busy</html>",
        b'{"alipay_trade_pay_response":{}}',
        b'{"alipay_trade_query_response":[]}',
        b'{"alipay_trade_query_response":null}',
        b'{"alipay_trade_query_response":{}',
        b'{"alipay_trade_query_response":{}} x',
        b'{"alipay_trade_query_response":{},"sign":1}',
        b'{"alipay_trade_query_response":{},"sign":"\xff"}',
        b'{"alipay_trade_query_response":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe",
    ],
)
def test_other_answers_are_unreadable(body):
    with pytest.raises(Unreadable):
        wire.split(body, METHOD)


# --- encrypted answers -----------------------------------------------------------------------


def test_an_encrypted_answer_is_signed_with_its_quotes(key):
    """The signature covers the quoted text; what it hides is read with the account's key."""
    secret = bytes(range(16))
    content = f'"{wire.encrypt(secret, b"{}")}"'
    body = wire.joined(wire.response_name(METHOD), content, wire.sign(key, content.encode()))

    answer = wire.split(body.encode(), METHOD)

    assert answer.signature is not None
    assert wire.verify(key.public_key(), answer.content, answer.signature)
    assert not wire.verify(key.public_key(), answer.content[1:-1], answer.signature)
    assert b"{}" == wire.opened(answer, secret)


@pytest.mark.parametrize("secret", [None, bytes(16), bytes(range(1, 17))])
def test_an_encrypted_answer_needs_its_key(secret):
    content = f'"{wire.encrypt(bytes(range(16)), b"{}")}"'
    body = wire.joined(wire.response_name(METHOD), content, "s")

    with pytest.raises(Unreadable):
        wire.opened(wire.split(body.encode(), METHOD), secret)


@pytest.mark.parametrize("text", ["", "AAAA", "!", "ILpoMowjIQjfYMR847rnFQ"])
def test_broken_cipher_texts_are_unreadable(text):
    with pytest.raises(Unreadable):
        wire.decrypt(bytes(16), text)
