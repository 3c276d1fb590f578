"""UnionPay's text: canonical form, double hash, strict decoding of both dialects."""

import base64
import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from payments.channels.unionpay import wire

VECTORS = json.loads(
    (Path(__file__).parents[4] / "vectors" / "unionpay.json").read_text(encoding="utf-8")
)
KEY = load_pem_private_key(VECTORS["private_key_pem"].encode(), None)
PUBLIC = load_pem_public_key(VECTORS["public_key_pem"].encode())
CASES = [pytest.param(case, id=case["id"]) for case in VECTORS["vectors"]]
NOT_VERIFIED = "derived from the specification, not independently verified"


def _fields(case: dict) -> dict[str, str]:
    """The vector's fields as they come over the wire: nulls are dropped while decoding."""
    return wire.decode_json(json.dumps(case["fields"]).encode())


def _text(case: dict) -> bytes:
    signed = {"json": wire.signed_text, "acp": wire.acp_signed_text}[case["dialect"]]
    return signed(_fields(case))


def test_our_vectors_say_that_nobody_else_has_checked_them():
    assert NOT_VERIFIED in VECTORS["source"]


@pytest.mark.parametrize("case", CASES)
def test_the_rule_step_by_step(case):
    """Drop `signature` and what is empty, sort, join, hash to hex, and sign those 64 letters."""
    fields = dict(case["fields"])
    fields.pop("signature", None)
    kept = {name: value for name, value in fields.items() if value is not None}
    if case["dialect"] == "acp":
        kept = {name: value for name, value in kept.items() if value != ""}
    joined = "&".join(f"{name}={kept[name]}" for name in sorted(kept))
    assert case["canonical"] == joined
    digest = sha256(joined.encode()).hexdigest()
    assert case["digest_hex"] == digest
    assert digest.encode() == _text(case)


@pytest.mark.parametrize("case", CASES)
def test_our_signature_is_the_vectors(case):
    assert isinstance(KEY, RSAPrivateKey)
    signature = KEY.sign(_text(case), PKCS1v15(), SHA256())
    assert case["signature"] == wire.encode_signature(signature)


@pytest.mark.parametrize("case", CASES)
def test_the_vectors_signature_is_verified(case):
    assert isinstance(PUBLIC, RSAPublicKey)
    signature = wire.decode_signature({"signature": case["signature"]})
    PUBLIC.verify(signature, _text(case), PKCS1v15(), SHA256())


@pytest.mark.parametrize("case", CASES)
def test_the_openssl_command_judges_our_signature(case, tmp_path):
    """Somebody else's RSA and SHA-256 hash the canonical text twice and accept."""
    assert isinstance(KEY, RSAPrivateKey)
    signature = KEY.sign(_text(case), PKCS1v15(), SHA256())
    (tmp_path / "public.pem").write_text(VECTORS["public_key_pem"])
    (tmp_path / "signature").write_bytes(signature)
    tool = ["openssl", "dgst", "-sha256"]
    first = subprocess.run(
        [*tool, "-r"], input=case["canonical"].encode(), stdout=subprocess.PIPE, check=True
    )
    digest = first.stdout.split()[0]
    verify = [*tool, "-verify", tmp_path / "public.pem", "-signature", tmp_path / "signature"]
    good = subprocess.run(verify, input=digest, stdout=subprocess.PIPE, check=False)
    assert good.stdout == b"Verified OK\n"
    raw = bytes.fromhex(digest.decode())
    single = subprocess.run(verify, input=raw, stdout=subprocess.PIPE, check=False)
    assert single.returncode != 0, "the digest's bytes are not what is signed"


def test_acp_accepts_a_sender_that_signs_its_empty_fields():
    fields = {"orderId": "20261122", "reqReserved": ""}
    dropped, kept = wire.acp_texts(fields)
    assert wire.double_hash("orderId=20261122") == dropped
    assert wire.double_hash("orderId=20261122&reqReserved=") == kept
    assert (wire.double_hash("orderId=1"),) == wire.acp_texts({"orderId": "1"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"text"',
        b"{",
        b'{"a":1}',
        b'{"a":1.0}',
        b'{"a":true}',
        b'{"a":{}}',
        b'{"a":["b"]}',
        b'{"a":"1","a":"2"}',
        b'{"a":null,"a":"2"}',
        b'{"a":"\\ud800"}',
        b'{"a&b":"1"}',
        b'{"":"1"}',
        b'{"a":"\xff"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"a":"' + b"x" * wire.TEXT_MAX_BYTES + b'"}',
        json.dumps({f"n{i}": "" for i in range(wire.FIELDS_MAX + 1)}).encode(),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_not_a_flat_map_of_strings_is_refused(body):
    with pytest.raises(wire.Malformed):
        wire.decode_json(body)


def test_json_goes_there_and_back_without_its_nulls():
    fields = {"orderInfo": '牛肉面 "&=\\', "frontUrl": ""}
    assert fields == wire.decode_json(wire.encode_json(fields))
    assert {"a": ""} == wire.decode_json(b'{"a":"","b":null}')


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=&b=", {"a": "", "b": ""}),
        ("qrCode=https://qr.95516.com/00010000/62?x=1", None),
        ("signature=ab+/c==&b=2", {"signature": "ab+/c==", "b": "2"}),
        ("respMsg=salt & pepper&respCode=00", {"respMsg": "salt & pepper", "respCode": "00"}),
        ("respMsg=a&&respCode=00", {"respMsg": "a&", "respCode": "00"}),
        ("respMsg=50%&c=%26", {"respMsg": "50%", "c": "%26"}),
        ('info={"x":"1&y=2"}&z=3', {"info": '{"x":"1&y=2"}', "z": "3"}),
        ('info=[{"x":"}&y=2"}]&z=3', {"info": '[{"x":"}&y=2"}]', "z": "3"}),
        ('info={"x":"\\"}&y=2"}&z=3', {"info": '{"x":"\\"}&y=2"}', "z": "3"}),
        ("info={broken&z=3", {"info": "{broken", "z": "3"}),
        ("info={a]&z=3", {"info": "{a]", "z": "3"}),
        ("a=1&", {"a": "1"}),
    ],
)
def test_acps_reply_is_read_without_url_decoding(body, fields):
    if fields is None:
        fields = {"qrCode": body.removeprefix("qrCode=")}
    assert fields == wire.decode_bare(body.encode())


@pytest.mark.parametrize("body", ["", "=", "a", "1=2", "a=1&a=2", "é=1", " a=1", "{}", "<html>"])
def test_what_is_not_acps_reply_is_refused(body):
    with pytest.raises(wire.Malformed):
        wire.decode_bare(body.encode())


def test_a_reply_of_many_open_braces_is_read_in_time_that_grows_with_its_length():
    unit = "=" + "{" * 600
    body = "&".join(f"n{i}{unit}" for i in range(wire.FIELDS_MAX))
    assert wire.FIELDS_MAX == len(wire.decode_bare(body.encode()))


def test_a_form_goes_there_and_back():
    fields = {"respMsg": "成功[0000000] &=+%", "empty": "", "pem": "-----BEGIN\nx+/=\n"}
    assert fields == wire.decode_form(wire.encode_form(fields))


@pytest.mark.parametrize("body", [b"", b"a", b"a=1&a=2", b"a=%ff", b"\xff=1", b"1=2"])
def test_what_is_not_a_form_is_refused(body):
    with pytest.raises(wire.Malformed):
        wire.decode_form(body)


@pytest.mark.parametrize("text", ["", "a b", "QUJD\n", "QUJ", "é"])
def test_a_signature_is_strict_base64(text):
    with pytest.raises(wire.Malformed):
        wire.decode_signature({"signature": text})


def test_times_are_chinas():
    ms = 1_795_305_600_000
    assert "20261122080000" == wire.encode_time(ms)
    assert ms == wire.decode_time("20261122080000")
    for bad in (
        "",
        "2026112208000",
        "20261322080000",
        "2026112208000x",
        "２０２６１１２２０８００００",
    ):
        with pytest.raises(wire.Malformed):
            wire.decode_time(bad)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", " 1", "1_0", "１", "1" * 13, "0x1"])
def test_an_amount_is_digits(text):
    with pytest.raises(wire.Malformed):
        wire.decode_amount(text)


def test_an_amount_is_fen():
    assert (3800, 0) == (wire.decode_amount("3800"), wire.decode_amount("000"))


def test_the_signature_survives_base64():
    assert base64.b64encode(b"\x00\xff").decode() == wire.encode_signature(b"\x00\xff")
