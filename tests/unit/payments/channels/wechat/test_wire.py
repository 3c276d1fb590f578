"""WeChat Pay's published vectors, and what its formats refuse."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from payments.channels.wechat import crypto, legacy, wire

VECTORS = json.loads((Path(__file__).parents[4] / "vectors" / "wechat.json").read_text())
KEY = generate_private_key(65537, 2048)
MERCHANT = wire.Credentials("1900007291", "408B07E79B8269FE", "593BEC0C930BF1AF", 1554208460, b"s")

# --- published vectors -----------------------------------------------------------------------


def test_the_published_key_makes_the_published_signature():
    vector = VECTORS["rsa_sign"]
    key = crypto.load_private_key(vector["private_key_pem"].encode())

    made = crypto.sign(key, vector["message"].encode())

    assert vector["signature"] == crypto.to_base64(made)
    assert crypto.verify(key.public_key(), b"source", made)
    assert not crypto.verify(key.public_key(), b"sourcf", made)


def test_a_get_is_signed_over_five_lines_the_last_one_empty():
    vector = VECTORS["message_to_sign"]
    fields = vector["header_fields"]

    text = wire.request_text(
        "GET", "/v3/certificates", int(fields["timestamp"]), fields["nonce_str"], b""
    )

    assert vector["get"].encode() == text


def test_the_published_notification_verifies_and_opens():
    vector = VECTORS["notification"]
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    body = vector["body"].encode()
    certificate = vector["platform_cert_pem"].encode()

    seal = wire.parse_seal(headers)
    text = wire.answer_text(seal.timestamp, seal.nonce, body)
    resource = json.loads(body)["resource"]
    plain = crypto.unseal(
        vector["api_v3_key"].encode(),
        resource["nonce"],
        resource["associated_data"],
        resource["ciphertext"],
    )

    assert crypto.serial_of(certificate) == seal.serial
    assert crypto.verify(crypto.load_public_key(certificate), text, seal.signature)
    assert not crypto.verify(crypto.load_public_key(certificate), text + b" ", seal.signature)
    assert vector["plaintext"] == plain.decode()


@pytest.mark.parametrize("name", ["aes_go", "aes_java", "aes_axios"])
def test_published_resources_open_and_close(name):
    vector = VECTORS[name]
    key, nonce, data = vector["key_utf8"].encode(), vector["nonce"], vector["associated_data"]

    plain = crypto.unseal(key, nonce, data, vector["ciphertext"])

    assert vector["plaintext"] == plain.decode()
    assert vector["ciphertext"] == crypto.seal(key, nonce, data, plain)


def test_the_published_signatures_of_version_2():
    vector = VECTORS["v2_sign"]
    pairs = dict(pair.split("=") for pair in vector["string"].split("&"))
    key = pairs.pop("key")

    assert vector["string"] == legacy.text_of({**pairs, "sign": "x", "empty": ""}, key)
    assert vector["md5"] == legacy.signature(pairs, key)
    assert vector["hmac_sha256"] == legacy.signature(pairs, key, "HMAC-SHA256")
    with pytest.raises(crypto.WireError):
        legacy.signature(pairs, key, "SHA-1")


# --- requests --------------------------------------------------------------------------------


def test_the_authorization_header_comes_back_as_it_was_written():
    assert wire.parse_authorization(wire.authorization(MERCHANT)) == MERCHANT


def test_its_attributes_come_in_any_order():
    scheme, _, rest = wire.authorization(MERCHANT).partition(" ")
    turned = ",".join(reversed(rest.split(",")))

    assert wire.parse_authorization(f"{scheme} {turned}") == MERCHANT


@pytest.mark.parametrize(
    "damage",
    [
        lambda header: "",
        lambda header: header.partition(" ")[0],
        lambda header: header.replace('mchid="1900007291",', ""),
        lambda header: header.replace('"', ""),
        lambda header: header.replace('timestamp="1554208460"', 'timestamp="soon"'),
        lambda header: header.replace('timestamp="1554208460"', 'timestamp="-1"'),
        lambda header: header.replace('timestamp="1554208460"', 'timestamp="１２"'),
        lambda header: header.replace('signature="', 'signature="!'),
        lambda header: header + ',mchid="2"',
        lambda header: header + "," + "x" * wire.AUTHORIZATION_MAX_CHARACTERS,
    ],
)
def test_a_damaged_authorization_header_is_refused(damage):
    with pytest.raises(crypto.WireError):
        wire.parse_authorization(damage(wire.authorization(MERCHANT)))


def test_another_algorithm_is_told_from_a_wrong_form():
    header = wire.authorization(MERCHANT).replace(wire.SCHEMA, "WECHATPAY2-SM2-WITH-SM3")

    with pytest.raises(wire.WrongSchema):
        wire.parse_authorization(header)


@pytest.mark.parametrize(
    ("apart_ms", "is_near"),
    [(0, True), (300_000, True), (-300_000, True), (300_999, True), (301_000, False)],
)
def test_five_minutes_are_the_window(apart_ms, is_near):
    assert is_near == wire.is_in_window(1_700_000_000, 1_700_000_000_000 + apart_ms)


# --- answers ---------------------------------------------------------------------------------


def sealed(**changes: str) -> dict[str, str]:
    headers = wire.seal_headers(wire.Seal("PUB_KEY_ID_1", "n", 1_700_000_000, b"signature"))
    return {name.lower(): value for name, value in headers.items()} | changes


def test_a_seal_comes_back_as_it_was_written():
    assert wire.parse_seal(sealed()) == wire.Seal("PUB_KEY_ID_1", "n", 1_700_000_000, b"signature")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"wechatpay-signature": ""}, wire.NoSeal),
        ({"wechatpay-serial": ""}, wire.NoSeal),
        ({"wechatpay-nonce": ""}, wire.NoSeal),
        ({"wechatpay-timestamp": ""}, crypto.WireError),
        ({"wechatpay-timestamp": "1.5"}, crypto.WireError),
        ({"wechatpay-signature": "é"}, crypto.WireError),
        ({"wechatpay-signature-type": "WECHATPAY2-SM2-WITH-SM3"}, crypto.WireError),
        ({"wechatpay-signature": "WECHATPAY/SIGNTEST/abc="}, wire.Probe),
    ],
)
def test_a_damaged_seal_is_refused(changes, error):
    with pytest.raises(error):
        wire.parse_seal(sealed(**changes))


# --- resources, fields, keys -----------------------------------------------------------------


@given(st.binary(max_size=500), st.text(max_size=40))
def test_a_resource_opens_only_with_its_own_nonce_and_data(plain, data):
    key = bytes(32)
    ciphertext = crypto.seal(key, "twelve bytes", data, plain)

    assert crypto.unseal(key, "twelve bytes", data, ciphertext) == plain
    for nonce, other in (("another one!", data), ("twelve bytes", data + "x"), ("", data)):
        with pytest.raises(crypto.WireError):
            crypto.unseal(key, nonce, other, ciphertext)


@pytest.mark.parametrize("ciphertext", ["", "AAAA", "no base64", "é"])
def test_a_resource_that_cannot_be_one_is_refused(ciphertext):
    with pytest.raises(crypto.WireError):
        crypto.unseal(bytes(32), "twelve bytes", "", ciphertext)


def test_a_personal_field_is_read_by_the_holder_of_the_key_alone():
    ciphertext = crypto.encrypt_field(KEY.public_key(), "张三")

    assert crypto.decrypt_field(KEY, ciphertext) == "张三"
    with pytest.raises(crypto.WireError):
        crypto.decrypt_field(generate_private_key(65537, 2048), ciphertext)


def test_a_personal_field_has_214_bytes_at_most():
    longest = "x" * 214

    assert crypto.decrypt_field(KEY, crypto.encrypt_field(KEY.public_key(), longest)) == longest
    with pytest.raises(crypto.WireError, match="215 bytes"):
        crypto.encrypt_field(KEY.public_key(), longest + "x")


@pytest.mark.parametrize("load", [crypto.load_private_key, crypto.load_public_key])
@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_key_is_refused(load, pem):
    with pytest.raises(crypto.WireError):
        load(pem)


# --- in the wallet ---------------------------------------------------------------------------


def test_a_page_signs_the_package_and_not_the_algorithm():
    text = wire.jsapi_text("wx1", 1414561699, "5K82", "prepay_id=wx2014")

    assert text == b"wx1\n1414561699\n5K82\nprepay_id=wx2014\n"
    assert wire.jsapi_params("wx1", 1414561699, "5K82", "prepay_id=wx2014", b"sig") == {
        "appId": "wx1",
        "timeStamp": "1414561699",
        "nonceStr": "5K82",
        "package": "prepay_id=wx2014",
        "signType": "RSA",
        "paySign": "c2ln",
    }


def test_an_app_signs_the_bare_prepay_id():
    assert wire.app_text("wx1", 1414561699, "5K82", "wx2014") == b"wx1\n1414561699\n5K82\nwx2014\n"
    assert wire.app_params("wx1", "1900", 1414561699, "5K82", "wx2014", b"sig") == {
        "appid": "wx1",
        "partnerid": "1900",
        "prepayid": "wx2014",
        "package": "Sign=WXPay",
        "noncestr": "5K82",
        "timestamp": "1414561699",
        "sign": "c2ln",
    }
