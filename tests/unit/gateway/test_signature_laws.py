"""The vectors of RFC 9421, and what holds for every request: any changed byte is noticed."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import signatures
from gateway.fields import parse_dictionary, serialize_inner_list
from payments.errors import Unauthorized

# --- the RFC's own vectors ----------------------------------------------------------------------

B_2_5 = (
    '"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@authority": example.com\n'
    '"content-type": application/json\n'
    '"@signature-params": ("date" "@authority" "content-type");created=1618884473'
    ';keyid="test-shared-secret"'
)
B_2_5_SECRET = (
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)
B_2_6 = (
    '"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@method": POST\n"@path": /foo\n'
    '"@authority": example.com\n"content-type": application/json\n"content-length": 18\n'
    '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length")'
    ';created=1618884473;keyid="test-key-ed25519"'
)
B_2_6_PUBLIC = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
B_2_6_SIGNATURE = (
    "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
)


def test_vector_b_2_5_hmac_sha256():
    """RFC 9421 appendix B.2.5: the HMAC of its base with its shared secret."""
    secret = base64.b64decode(B_2_5_SECRET)

    assert b"pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=" == signatures._hmac_text(
        secret, B_2_5.encode()
    )


def test_vector_b_2_6_ed25519():
    """RFC 9421 appendix B.2.6: its signature holds for its base, and for no other."""
    public = base64.b64decode(B_2_6_PUBLIC)

    assert signatures._ed25519_holds(public, B_2_6_SIGNATURE, B_2_6.encode())
    assert not signatures._ed25519_holds(public, B_2_6_SIGNATURE, B_2_6.encode() + b" ")


@pytest.mark.parametrize("base", [B_2_5, B_2_6])
def test_the_vectors_parameters_come_back_as_they_were(base):
    """What is signed is our serialization of what we read."""
    parameters = base.partition('"@signature-params": ')[2]

    assert parameters == serialize_inner_list(parse_dictionary(f"sig={parameters}")["sig"])


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_the_short_way_to_an_hmac_is_an_hmac(secret, base):
    """Prepared states and the standard library agree, for keys of any length."""
    expected = base64.b64encode(hmac.digest(secret, base, hashlib.sha256))

    assert expected == signatures._hmac_text(secret, base)


# --- any change is noticed ----------------------------------------------------------------------

PARTS = (
    "method",
    "path",
    "query",
    "body",
    "Host",
    "Content-Digest",
    "Idempotency-Key",
    "Tillway-Merchant",
    "Signature-Input",
    "Signature",
)


@pytest.mark.parametrize("key_id", ["key_hmac", "key_ed"])
@pytest.mark.parametrize("include_alg", [False, True])
@given(part=st.sampled_from(PARTS), data=st.data())
def test_any_single_changed_byte_is_refused(kit, key_id, include_alg, part, data):
    """Method, path, query, body, each header: whatever byte changes, the signature falls."""
    request = kit.signed(
        kit.Request("POST", "/v1/payments", "a=b&c=d").with_headers(
            Idempotency_Key="key-1", Tillway_Merchant=kit.MERCHANT
        ),
        key_id=key_id,
        include_alg=include_alg,
    )
    whole = {"method": request.method, "path": request.path, "query": request.query}
    text = whole.get(part) or (request.body.decode() if part == "body" else request.headers[part])
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.characters(min_codepoint=0x21, max_codepoint=0x7E))
    changed = text[:at] + byte + text[at + 1 :]
    same = changed.lower() == text.lower() if part == "Host" else changed == text
    if part in whole:
        sent = request.but(**{part: changed})
    elif part == "body":
        sent = request.but(body=changed.encode())
    else:
        sent = request.with_headers(**{part.replace("-", "_"): changed})

    if same:
        assert key_id == kit.ask(sent).key.id
    else:
        with pytest.raises(Unauthorized):
            kit.ask(sent)


@given(st.text(max_size=120), st.text(max_size=80))
def test_no_field_makes_the_verifier_stumble(kit, signature_input, signature):
    """Whatever stands in the fields, the answer is a 401 and never a crash."""
    request = kit.signed(kit.Request()).with_headers(
        Signature_Input=signature_input, Signature=signature
    )

    with pytest.raises(Unauthorized):
        kit.ask(request)
