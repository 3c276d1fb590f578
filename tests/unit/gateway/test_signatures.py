"""Signed requests: what an independent implementation signs holds, and nothing else does."""

import base64
import hmac
import re

import pytest

from gateway import signatures
from gateway.fields import parse_dictionary, serialize_inner_list
from gateway.signatures import DENIED, FieldLines, split_target, verify
from payments.errors import Unauthorized
from payments.reference import KeyOwner, KeyType


@pytest.mark.parametrize("key_id", ["key_hmac", "key_ed"])
@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/v1/payments", "", b'{"amount":3800}'),
        ("POST", "/v1/payments", "", b""),
        ("GET", "/v1/payments", "limit=3&created%5Bgte%5D=2026-12-01T00:00:00Z", b""),
        ("GET", "/v1/payments/pay_1", "", b""),
        ("DELETE", "/v1/keys/key_1", "", b""),
        ("POST", "/v1/payments/%7Eodd%2Fid", "a=%20b&a=?", b"\xff\x00"),
    ],
)
@pytest.mark.parametrize("nonce", ["n-1", 'odd " \\ nonce'])
def test_what_another_implementation_signs_holds(kit, key_id, method, path, query, body, nonce):
    """Both algorithms, with and without body and query, nonces that need escapes too."""
    request = kit.Request(method, path, query, body).with_headers(
        Idempotency_Key="k-1", Tillway_Merchant=kit.MERCHANT
    )

    caller = kit.ask(kit.signed(request, key_id=key_id, nonce=nonce))

    assert (key_id, nonce, kit.NOW_S) == (caller.key.id, caller.nonce, caller.nonce_created)


@pytest.mark.parametrize("include_alg", [True, False])
@pytest.mark.parametrize("label", ["sig1", "pyhms", "*x.y-1"])
@pytest.mark.parametrize("turn", range(5))
def test_label_order_and_optional_parameters_are_free(kit, include_alg, label, turn):
    """Any label, any order of components, alg, expires and tag as the signer likes."""
    covered = kit.COVERED[turn:] + kit.COVERED[:turn]
    request = kit.signed(
        kit.Request(),
        covered=covered,
        label=label,
        include_alg=include_alg,
        tag="till" if turn else None,
        expires_s=kit.NOW_S + 60,
    )

    assert kit.MERCHANT == kit.ask(request).merchant


def by_hand(kit, parameters, sent=None):
    """A POST signed by hand, with `parameters`; `sent`: the components as they are spelled."""
    request = kit.Request()
    digest = kit.content_digest(request.body)
    components = " ".join(f'"{name}"' for name in kit.COVERED)
    base = (
        '"@method": POST\n"@authority": api.example.com\n"@path": /v1/payments\n"@query": ?\n'
        f'"content-digest": {digest}\n"@signature-params": ({components}){parameters}'
    )
    value = base64.b64encode(hmac.digest(kit.SECRET, base.encode(), "sha256")).decode()
    return request.with_headers(
        Content_Digest=digest,
        Signature_Input=f"x=({sent or components}){parameters}",
        Signature=f"x=:{value}:",
    )


def test_parameters_come_in_any_order(kit):
    """keyid may stand before created; a list may be spaced oddly: its serialization is signed."""
    parameters = f';nonce="n";keyid="key_hmac";created={kit.NOW_S}'
    spaced = '  "@method"  "@authority" "@path"   "@query" "content-digest"  '

    assert "n" == kit.ask(by_hand(kit, parameters)).nonce
    assert "n" == kit.ask(by_hand(kit, parameters, spaced)).nonce


@pytest.mark.parametrize("algorithm", ["ed25519", "rsa-pss-sha512", "none", ""])
def test_a_request_that_names_another_algorithm_is_denied(kit, algorithm):
    """The record decides; even a signature that holds does not, if it contradicts the record."""
    good = f';created={kit.NOW_S};keyid="key_hmac";nonce="n";alg='

    assert "n" == kit.ask(by_hand(kit, good + '"hmac-sha256"')).nonce
    with pytest.raises(Unauthorized, match=re.escape(DENIED)):
        kit.ask(by_hand(kit, f'{good}"{algorithm}"'))


@pytest.mark.parametrize("twice", [";created={}", ';keyid="key_hmac"', ';nonce="n"'])
def test_a_parameter_that_comes_twice_is_refused(kit, twice):
    """Whoever reads the first and whoever reads the last must not differ."""
    good = f';created={kit.NOW_S};keyid="key_hmac";nonce="n"'

    with pytest.raises(Unauthorized, match="twice"):
        kit.ask(by_hand(kit, good + twice.format(kit.NOW_S)))


@pytest.mark.parametrize("key_id", ["key_hmac", "key_ed"])
@pytest.mark.parametrize("include_alg", [False, True])
def test_a_signature_has_one_spelling(kit, key_id, include_alg):
    """The spare bits of base64 are zero: nobody makes a second signature of the first."""
    request = kit.signed(kit.Request(), key_id=key_id, include_alg=include_alg)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    head, pad = re.fullmatch("(.*?)(=*:)", request.headers["Signature"]).groups()
    sibling = head[:-1] + alphabet[alphabet.index(head[-1]) + 1]
    text = (sibling + pad).removeprefix("sig1=:").removesuffix(":")

    assert base64.b64decode(text) == base64.b64decode(request.headers["Signature"][6:-1])
    with pytest.raises(Unauthorized):
        kit.ask(request.with_headers(Signature=sibling + pad))


def test_further_fields_may_be_covered(kit):
    """A signer may cover more than it must; then those fields are protected too."""
    request = kit.signed(
        kit.Request().with_headers(Date="Tue, 20 Apr 2021 02:07:55 GMT"),
        covered=(*kit.COVERED, "date"),
    )

    assert kit.MERCHANT == kit.ask(request).merchant
    with pytest.raises(Unauthorized):
        kit.ask(request.with_headers(Date="Tue, 20 Apr 2021 02:07:56 GMT"))
    with pytest.raises(Unauthorized, match="missing"):
        kit.ask(request.with_headers(Date=None))


def test_of_several_signatures_the_one_whose_key_is_known_counts(kit):
    """A proxy may have signed too."""
    request = kit.signed(kit.Request(), key_id="key_proxy", label="proxy")
    both = kit.signed(request, append_if_signature_exists=True)

    assert ["proxy", "sig1"] == list(parse_dictionary(both.headers["Signature"]))
    assert "key_hmac" == kit.ask(both).key.id


@pytest.mark.parametrize(
    "host", ["api.example.com", "API.Example.COM", "api.example.com:443", "api.example.com:80"]
)
def test_the_authority_is_the_host_in_lower_case_without_its_default_port(kit, host):
    """As RFC 9421 section 2.2.3 wants it."""
    assert kit.MERCHANT == kit.ask(kit.signed(kit.Request()).with_headers(Host=host)).merchant


@pytest.mark.parametrize("names", [("sha512",), ("sha256", "sha512")])
def test_a_digest_may_be_sha_512_or_several(kit, names):
    """RFC 9530: any digest that is strong enough, or several."""
    body = b'{"amount":3800}'
    digest = ", ".join(kit.content_digest(body, name) for name in names)

    request = kit.signed(kit.Request(body=body).with_headers(Content_Digest=digest))

    assert kit.MERCHANT == kit.ask(request).merchant


def test_a_digest_that_nobody_trusts_is_passed_over_beside_a_good_one(kit):
    """RFC 9530 lets a sender add what it likes; a weak digest proves nothing and harms nothing."""
    sent = f"md5=:1B2M2Y8AsgTpgAmY7PhCfg==:, {kit.content_digest(b'x')}"

    assert sent == signatures._checked_digest([sent], b"x")


@pytest.mark.parametrize(
    "digest",
    [
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:",
        "sha-256=1",
        "sha-256",
        "garbage=",
        "",
    ],
)
def test_a_wrong_weak_or_unreadable_digest_is_refused(kit, digest):
    """Signed or not: the digest must be the body's."""
    sent = kit.signed(kit.Request()).with_headers(Content_Digest=digest)

    with pytest.raises(Unauthorized, match="Content-Digest"):
        kit.ask(sent)


def test_one_wrong_digest_among_right_ones_is_refused(kit):
    """A second digest is not decoration."""
    right = kit.content_digest(b'{"amount":3800}')
    wrong = kit.content_digest(b"", "sha512")

    with pytest.raises(Unauthorized, match="not the digest"):
        kit.ask(kit.signed(kit.Request().with_headers(Content_Digest=f"{right}, {wrong}")))


@pytest.mark.parametrize("left_out", ["@method", "@authority", "@path", "@query", "content-digest"])
def test_each_required_component_must_be_covered(kit, left_out):
    """A signature over less than the request is none."""
    covered = tuple(name for name in kit.COVERED if name != left_out)

    with pytest.raises(Unauthorized, match=left_out):
        kit.ask(kit.signed(kit.Request(), covered=covered))


@pytest.mark.parametrize("header", ["Idempotency-Key", "Tillway-Merchant"])
def test_what_is_sent_must_be_covered_and_what_is_covered_sent(kit, header):
    """Nobody on the way may add or take away the key or the merchant."""
    sent = {header.replace("-", "_"): kit.MERCHANT}
    gone = {header.replace("-", "_"): None}

    with pytest.raises(Unauthorized, match="cover"):
        kit.ask(kit.signed(kit.Request()).with_headers(**sent))
    with pytest.raises(Unauthorized, match="missing"):
        kit.ask(kit.signed(kit.Request().with_headers(**sent)).with_headers(**gone))


@pytest.mark.parametrize("header", ["Idempotency-Key", "Tillway-Merchant", "Host"])
def test_a_header_that_says_two_things_is_refused(kit, header):
    """Whoever reads the first and whoever reads the last must not differ."""
    request = kit.signed(
        kit.Request().with_headers(Idempotency_Key="k", Tillway_Merchant=kit.MERCHANT)
    )
    request.headers.add(header, request.headers[header])

    with pytest.raises(Unauthorized, match="twice"):
        kit.ask(request)


@pytest.mark.parametrize(
    ("skew_s", "holds"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_a_signature_lives_300_seconds_either_way(kit, skew_s, holds):
    """The window is closed at both ends."""
    request = kit.signed(kit.Request(), created_s=kit.NOW_S + skew_s)

    if holds:
        assert kit.MERCHANT == kit.ask(request).merchant
    else:
        with pytest.raises(Unauthorized, match=re.escape(DENIED)):
            kit.ask(request)


def test_expires_can_only_shorten_the_window(kit):
    """A signature that calls itself expired is, and a long life does not outlive the window."""
    short = kit.signed(kit.Request(), expires_s=kit.NOW_S + 10)
    long = kit.signed(kit.Request(), expires_s=kit.NOW_S + 9_000)

    assert kit.MERCHANT == kit.ask(short, later_ms=10_000).merchant
    for request, later_ms in ((short, 10_001), (long, 300_001)):
        with pytest.raises(Unauthorized, match=re.escape(DENIED)):
            kit.ask(request, later_ms=later_ms)


def test_only_a_post_needs_a_nonce(kit):
    """Reading twice does no harm."""
    get = kit.signed(kit.Request("GET", body=b""), nonce=None)

    assert kit.ask(get).nonce is None
    with pytest.raises(Unauthorized, match="nonce"):
        kit.ask(kit.signed(kit.Request(), nonce=None))


@pytest.mark.parametrize("nonce", ["", "n" * 256])
def test_a_nonce_has_1_to_255_characters(kit, nonce):
    """It is stored for ten minutes, so it is not a place for novels."""
    with pytest.raises(Unauthorized, match="nonce"):
        kit.ask(kit.signed(kit.Request(), nonce=nonce))


def denials(kit):
    """Name -> (request, keys): each must end in the same words."""
    good, ed = kit.signed(kit.Request()), kit.signed(kit.Request(), key_id="key_ed")
    other = kit.a_key("key_hmac", secret=b"x" * 32)
    with_alg = kit.signed(kit.Request(), include_alg=True)
    now_ms = kit.NOW_S * 1000
    return {
        "unknown key": (good, kit.a_key("key_other")),
        "bad signature": (good, other),
        "bad ed25519 signature": (ed, kit.ed25519_key(secret=b"\x01" * 32)),
        "too early": (good, kit.a_key("key_hmac", not_before=now_ms + 1)),
        "ended": (good, kit.a_key("key_hmac", not_after=now_ms)),
        "live key in test mode": (good, kit.a_key("key_hmac", livemode=True)),
        "digest of a bearer key as secret": (good, kit.bearer_key("key_hmac", secret=kit.SECRET)),
        "algorithm of the request": (with_alg, kit.ed25519_key("key_hmac")),
        "hmac with the public key": (
            hmac_with_public_key(kit),
            kit.ed25519_key("key_ed"),
        ),
    }


def hmac_with_public_key(kit):
    """The classic confusion: an HMAC made with the public key of an Ed25519 record."""
    request = kit.signed(kit.Request(), key_id="key_ed", include_alg=True)
    member = parse_dictionary(request.headers["Signature-Input"])["sig1"]
    parameters = serialize_inner_list(member).replace("ed25519", "hmac-sha256")
    base = (
        '"@method": POST\n"@authority": api.example.com\n"@path": /v1/payments\n"@query": ?\n'
        f'"content-digest": {request.headers["Content-Digest"]}\n"@signature-params": {parameters}'
    )
    public = kit.ED25519.public_key().public_bytes_raw()
    value = base64.b64encode(hmac.digest(public, base.encode(), "sha256")).decode()
    return request.with_headers(Signature_Input=f"sig1={parameters}", Signature=f"sig1=:{value}:")


DENIALS = (
    "unknown key",
    "bad signature",
    "bad ed25519 signature",
    "too early",
    "ended",
    "live key in test mode",
    "digest of a bearer key as secret",
    "algorithm of the request",
    "hmac with the public key",
)


@pytest.mark.parametrize("name", DENIALS)
def test_every_failure_that_only_the_owner_may_know_has_one_answer(kit, name):
    """Unknown key, bad signature, expired window: the same 401."""
    request, *keys = denials(kit)[name]

    with pytest.raises(Unauthorized, match=re.escape(DENIED)):
        kit.ask(request, *keys)


def test_an_unknown_key_costs_the_same_work(kit, monkeypatch):
    """The HMAC is made for a key that does not exist, too: time tells nothing."""
    made = []
    real = signatures._hmac_text
    monkeypatch.setattr(
        signatures, "_hmac_text", lambda secret, base: made.append(base) or real(secret, base)
    )
    request = kit.signed(kit.Request())

    for key in (kit.a_key("key_hmac"), kit.a_key("key_other"), kit.bearer_key("key_hmac")):
        if key.id == "key_hmac" and key.type is KeyType.HMAC_SHA256:
            kit.ask(request, key)
            continue
        with pytest.raises(Unauthorized):
            kit.ask(request, key)

    assert 3 == len(made)
    assert 1 == len(set(made))


MALFORMED = (
    ("sig1", "sig1=:AAAA:"),
    ("sig1=()", "sig1=:AAAA:"),
    ('sig1=("@method" "@method");created=1;keyid="k"', "sig1=:AAAA:"),
    ('sig1=("@method";req);created=1;keyid="k"', "sig1=:AAAA:"),
    ('sig1=("@status");created=1;keyid="k"', "sig1=:AAAA:"),
    ('sig1=("@method" 5);created=1;keyid="k"', "sig1=:AAAA:"),
    ('sig1=("@method");created="1";keyid="k"', "sig1=:AAAA:"),
    ('sig1=("@method");created=1;keyid=k', "sig1=:AAAA:"),
    ('sig1=("@method");keyid="k"', "sig1=:AAAA:"),
    ('sig1=("@method");created=1', "sig1=:AAAA:"),
    ('sig1=("@method");created=1;created=2;keyid="k"', "sig1=:AAAA:"),
    ('sig1=("@method");created=1.5;keyid="k"', "sig1=:AAAA:"),
    ('sig1=("@method");created=1;keyid="k"', "sig2=:AAAA:"),
    ('sig1=("@method");created=1;keyid="k"', 'sig1="AAAA"'),
    ('sig1=("@method");created=1;keyid="k"', "sig1=:A:"),
    ('sig1=("@method");created=1;keyid="k"', "sig1=:AAAB==:"),
    ('sig1=("@method");created=1;keyid="k",', "sig1=:AAAA:"),
    ('sig1=("@method");created=1;keyid="k", sig1=("@path")', "sig1=:AAAA:"),
    ('sig1=("@method"', "sig1=:AAAA:"),
    ('sig1=("@method);created=1;keyid="k"', "sig1=:AAAA:"),
    ("", "sig1=:AAAA:"),
    ("a=1," * 9 + "b=1", "sig1=:AAAA:"),
)


@pytest.mark.parametrize(("signature_input", "signature"), MALFORMED)
def test_what_is_not_a_signature_field_is_refused(kit, signature_input, signature):
    """Strictly RFC 8941, and a little stricter: nothing may be said twice."""
    request = kit.signed(kit.Request()).with_headers(
        Signature_Input=signature_input, Signature=signature
    )

    with pytest.raises(Unauthorized):
        kit.ask(request)


@pytest.mark.parametrize("header", ["Signature", "Signature-Input", "Content-Digest", "Host"])
def test_a_header_that_is_needed_and_missing_is_named(kit, header):
    """The caller learns what to send."""
    with pytest.raises(Unauthorized, match=header):
        kit.ask(kit.signed(kit.Request()).with_headers(**{header.replace("-", "_"): None}))


def test_a_line_end_in_a_value_cannot_pretend_to_be_a_component(kit):
    """A server would not let one through; we do not rely on it."""
    request = kit.signed(kit.Request())
    odd = request.but(path='/v1/payments\n"@query": ?')

    with pytest.raises(Unauthorized, match="printable"):
        kit.ask(odd)


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/v1/payments", "/v1/payments", ""),
        ("/v1/payments?", "/v1/payments", ""),
        ("/a?b=c?d", "/a", "b=c?d"),
        ("http://host/a/b?c", "/a/b", "c"),
        ("http://host", "/", ""),
        ("HTTPS://host:8443?a=/b", "/", "a=/b"),
        ("/a?u=http://x", "/a", "u=http://x"),
    ],
)
def test_a_target_is_split_as_it_was_sent(raw, path, query):
    """Nothing is decoded: the signature covers what was sent."""
    assert (path, query) == split_target(raw)


def test_headers_may_be_a_plain_function(kit):
    """For whoever has no multidict."""
    request = kit.signed(kit.Request())
    plain = {name.lower(): f" {value}\t" for name, value in request.headers.items()}

    verified = verify(
        request.method,
        request.path,
        request.query,
        FieldLines(plain.get),
        request.body,
        {"key_hmac": kit.a_key("key_hmac")}.get,
        kit.NOW_S * 1000,
    )

    assert "key_hmac" == verified.key.id


def test_the_owner_of_a_key_is_whoever_its_record_says(kit):
    """A platform key that names no merchant acts for none."""
    platform = kit.a_key("key_hmac", owner=KeyOwner.PLATFORM, merchant="", platform="plat_a")

    assert "" == kit.ask(kit.signed(kit.Request()), platform).merchant
