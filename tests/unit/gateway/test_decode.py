"""Bodies: what is understood, what is malformed, and which field is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.decode import decode, has_card_number
from gateway.schemas import (
    BODIES,
    AdvanceClock,
    CancelRequest,
    CreateClock,
    CreatePayment,
    CreateRefund,
    NewKey,
    NewMerchant,
    NewStore,
    NewTerminal,
    Rotation,
)
from payments.errors import InvalidField, Malformed

BARCODE = {
    "order_no": "T20261121-000001",
    "amount": 3800,
    "currency": "cny",
    "way": "barcode",
    "auth_code": "281234567890123456",
}
QR = {"order_no": "T-1", "amount": 3800, "currency": "cny", "way": "qr", "wallet": "alipay"}
GONE = object()


def body_of(base, **changes):
    fields = {**base, **changes}
    kept = {name: value for name, value in fields.items() if value is not GONE}
    return json.dumps(kept, ensure_ascii=False).encode()


def refusal(kind, body):
    with pytest.raises((Malformed, InvalidField)) as refused:
        decode(kind, body)
    return refused.value


def test_a_barcode_payment_is_read():
    """The usual request."""
    payment = decode(CreatePayment, body_of(BARCODE, subject="牛肉面", terminal="trm_1"))

    assert ("T20261121-000001", 3800, "cny", "barcode") == (
        payment.order_no,
        payment.amount,
        payment.currency,
        payment.way,
    )
    assert ("281234567890123456", "牛肉面", 0, {}) == (
        payment.auth_code,
        payment.subject,
        payment.tip_amount,
        payment.metadata,
    )


ACCEPTED = [
    (BARCODE, {"amount": 1}),
    (BARCODE, {"amount": 100_000_000_00}),
    (BARCODE, {"tip_amount": 3800}),
    (BARCODE, {"auth_code": "6" * 16}),
    (BARCODE, {"auth_code": "6" * 24}),
    (BARCODE, {"order_no": "a" * 64}),
    (BARCODE, {"order_no": "4111111111111111"}),
    (BARCODE, {"auth_code": "4111111111111111"}),
    (BARCODE, {"order_ref": "4111111111111111", "terminal": "4111111111111111"}),
    (BARCODE, {"subject": None, "metadata": {}}),
    (BARCODE, {"subject": "x" * 128}),
    (BARCODE, {"metadata": {"k" * 40: "v" * 500}}),
    (BARCODE, {"metadata": {f"k{n}": "a:b:c" for n in range(50)}}),
    (BARCODE, {"subject": "order 20261121000001 of 2026-11-21 18:30:00"}),
    (BARCODE, {"subject": "tel 13800000000, “fünf”, 面 — 饭，🍜"}),
    (BARCODE, {"escrow": False, "splits": []}),
    (BARCODE, {"escrow": True}),
    (BARCODE, {"return_url": "https://shop.example/back?x=1:2"}),
    (QR, {}),
    (QR, {"expires_in": 30}),
    (QR, {"expires_in": 7200}),
    (QR, {"way": "cashier", "wallet": GONE}),
    (QR, {"way": "jsapi", "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}}),
    (QR, {"way": "app"}),
    (QR, {"way": "h5", "payer": {"ip": "203.0.113.7"}}),
    (QR, {"way": "h5", "payer": {"ip": "2001:db8::7"}}),
    (QR, {"way": "jsapi", "payer": {"openid": "o", "ip": "203.0.113.7"}}),
    (QR, {"way": "h5"}),
]


@pytest.mark.parametrize(("base", "changes"), ACCEPTED)
def test_what_api_allows_is_accepted(base, changes):
    """Limits are inclusive, text may be Chinese, ids and codes may look like cards."""
    payment = decode(CreatePayment, body_of(base, **changes))

    for name, value in changes.items():
        if isinstance(value, str | int) and not isinstance(value, bool):
            assert value == getattr(payment, name)
    assert payment == decode(CreatePayment, body_of(base, **changes).replace(b'": ', b'"  :\n'))


def test_an_escrow_may_say_when_it_ends():
    at = decode(
        CreatePayment, body_of(BARCODE, escrow=True, escrow_release_at="2026-12-01T08:00:00+08:00")
    ).escrow_release_at

    assert 1_796_083_200 == at.timestamp()


REFUSED = [
    # changes to a good payment -> the field that is named
    (BARCODE, {"order_no": GONE}, "/order_no"),
    (BARCODE, {"order_no": ""}, "/order_no"),
    (BARCODE, {"order_no": "a" * 65}, "/order_no"),
    (BARCODE, {"order_no": "a b"}, "/order_no"),
    (BARCODE, {"order_no": "号"}, "/order_no"),
    (BARCODE, {"order_no": "a\n"}, "/order_no"),
    (BARCODE, {"order_no": 1}, "/order_no"),
    (BARCODE, {"amount": GONE}, "/amount"),
    (BARCODE, {"amount": 0}, "/amount"),
    (BARCODE, {"amount": -1}, "/amount"),
    (BARCODE, {"amount": 100_000_000_01}, "/amount"),
    (BARCODE, {"amount": 2**53 + 1}, "/amount"),
    (BARCODE, {"amount": 2**64}, "/amount"),
    (BARCODE, {"amount": 10**40}, "/amount"),
    (BARCODE, {"amount": 38.0}, "/amount"),
    (BARCODE, {"amount": 38.5}, "/amount"),
    (BARCODE, {"amount": "3800"}, "/amount"),
    (BARCODE, {"amount": True}, "/amount"),
    (BARCODE, {"amount": None}, "/amount"),
    (BARCODE, {"amount": [3800]}, "/amount"),
    (BARCODE, {"currency": GONE}, "/currency"),
    (BARCODE, {"currency": "usd"}, "/currency"),
    (BARCODE, {"currency": "CNY"}, "/currency"),
    (BARCODE, {"way": "cash"}, "/way"),
    (BARCODE, {"way": GONE}, "/way"),
    (BARCODE, {"auth_code": GONE}, "/auth_code"),
    (BARCODE, {"auth_code": None}, "/auth_code"),
    (BARCODE, {"auth_code": "1" * 15}, "/auth_code"),
    (BARCODE, {"auth_code": "1" * 25}, "/auth_code"),
    (BARCODE, {"auth_code": "２" * 18}, "/auth_code"),
    (BARCODE, {"auth_code": "1" * 18 + "\n"}, "/auth_code"),
    (BARCODE, {"auth_code": 281234567890123456}, "/auth_code"),
    (QR, {"auth_code": "281234567890123456"}, "/auth_code"),
    (QR, {"wallet": GONE}, "/wallet"),
    (QR, {"wallet": "paypal"}, "/wallet"),
    (QR, {"way": "jsapi"}, "/payer/openid"),
    (QR, {"way": "jsapi", "payer": {}}, "/payer/openid"),
    (QR, {"way": "jsapi", "payer": {"openid": ""}}, "/payer/openid"),
    (QR, {"way": "jsapi", "payer": {"openid": "o", "name": "x"}}, "/payer/name"),
    (QR, {"way": "jsapi", "payer": "o"}, "/payer"),
    (QR, {"way": "jsapi", "payer": {"ip": "203.0.113.7"}}, "/payer/openid"),
    (QR, {"way": "h5", "payer": {"ip": "shop.example"}}, "/payer/ip"),
    (QR, {"way": "h5", "payer": {"ip": "203.0.113.256"}}, "/payer/ip"),
    (QR, {"way": "h5", "payer": {"ip": "fe80::1%eth0"}}, "/payer/ip"),
    (QR, {"way": "h5", "payer": {"ip": "203.0.113.7, 10.0.0.1"}}, "/payer/ip"),
    (QR, {"way": "h5", "payer": {"ip": ""}}, "/payer/ip"),
    (QR, {"way": "app", "wallet": GONE}, "/wallet"),
    (QR, {"way": "h5", "wallet": None}, "/wallet"),
    (BARCODE, {"tip_amount": 3801}, "/tip_amount"),
    (BARCODE, {"tip_amount": -1}, "/tip_amount"),
    (BARCODE, {"tip_amount": 1.5}, "/tip_amount"),
    (QR, {"expires_in": 29}, "/expires_in"),
    (QR, {"expires_in": 7201}, "/expires_in"),
    (BARCODE, {"subject": ""}, "/subject"),
    (BARCODE, {"subject": "x" * 129}, "/subject"),
    (BARCODE, {"subject": "a\tb"}, "/subject"),
    (BARCODE, {"subject": "a\x7fb"}, "/subject"),
    (BARCODE, {"subject": "a\x85b"}, "/subject"),
    (BARCODE, {"subject": "a\u2028b"}, "/subject"),
    (BARCODE, {"subject": "a\u202eb"}, "/subject"),
    (BARCODE, {"subject": "a\u2066b"}, "/subject"),
    (BARCODE, {"subject": "a\ufeffb"}, "/subject"),
    (BARCODE, {"subject": "card 4111111111111111"}, "/subject"),
    (BARCODE, {"subject": "4111 1111 1111 1111"}, "/subject"),
    (BARCODE, {"subject": "3782-822463-10005"}, "/subject"),
    (BARCODE, {"subject": "卡6212345678900000003号"}, "/subject"),
    (BARCODE, {"operator": "5555555555554444"}, "/operator"),
    (BARCODE, {"table": "5555555555554444"}, "/table"),
    (BARCODE, {"metadata": {"note": "4111111111111111"}}, "/metadata/note"),
    (BARCODE, {"metadata": {"4111111111111111": "x"}}, "/metadata"),
    (BARCODE, {"metadata": {"a": 1}}, "/metadata"),
    (BARCODE, {"metadata": {"a": None}}, "/metadata"),
    (BARCODE, {"metadata": {"": "x"}}, "/metadata"),
    (BARCODE, {"metadata": {"k" * 41: "x"}}, "/metadata"),
    (BARCODE, {"metadata": {"k": "v" * 501}}, "/metadata"),
    (BARCODE, {"metadata": {"a/b~": "x\n"}}, "/metadata/a~1b~0"),
    (BARCODE, {"metadata": {f"k{n}": "" for n in range(51)}}, "/metadata"),
    (BARCODE, {"metadata": []}, "/metadata"),
    (BARCODE, {"splits": [{"receiver": "rcv_1"}]}, "/splits/0"),
    (BARCODE, {"splits": [{"receiver": "rcv_1", "amount": 1, "ratio_ppm": 1}]}, "/splits/0"),
    (BARCODE, {"splits": [{"receiver": "rcv_1", "amount": 1}] * 21}, "/splits"),
    (BARCODE, {"splits": [], "split_base": "gross"}, "/split_base"),
    (BARCODE, {"splits": [{"amount": 1}]}, "/splits/0/receiver"),
    (
        BARCODE,
        {"splits": [{"receiver": "r"}, {"receiver": "r", "ratio_ppm": 0}]},
        "/splits/1/ratio_ppm",
    ),
    (BARCODE, {"split_base": "net"}, "/split_base"),
    (BARCODE, {"split_fee": "pro_rata"}, "/split_fee"),
    (BARCODE, {"escrow": "true"}, "/escrow"),
    (BARCODE, {"escrow_release_at": "2026-12-01T00:00:00Z"}, "/escrow_release_at"),
    (BARCODE, {"escrow": True, "escrow_release_at": "2026-12-01T00:00:00"}, "/escrow_release_at"),
    (BARCODE, {"escrow": True, "escrow_release_at": 1}, "/escrow_release_at"),
    (BARCODE, {"return_url": "javascript:alert(1)"}, "/return_url"),
    (BARCODE, {"return_url": "https://a b"}, "/return_url"),
    # Nobody sets what is not theirs to set.
    (BARCODE, {"status": "succeeded"}, "/status"),
    (BARCODE, {"fee": 0}, "/fee"),
    (BARCODE, {"merchant": "mch_1"}, "/merchant"),
    (BARCODE, {"id": "pay_1"}, "/id"),
    (BARCODE, {"Amount": 1}, "/Amount"),
    (BARCODE, {"a` - at `$.amount": 1}, "/a` - at `$.amount"),
]


@pytest.mark.parametrize(("base", "changes", "pointer"), REFUSED)
def test_a_wrong_field_is_named_by_its_pointer(base, changes, pointer):
    """422, and the caller need not guess which."""
    error = refusal(CreatePayment, body_of(base, **changes))

    assert (InvalidField, pointer) == (type(error), error.param)
    assert error.detail


MALFORMED = [
    b"",
    b" ",
    b"null",
    b"[]",
    b"1",
    b'"x"',
    b"{",
    b"{}x",
    b"{'a':1}",
    b'{"amount":NaN}',
    b'{"amount":Infinity}',
    b'{"amount":-Infinity}',
    b'{"amount":01}',
    b'{"amount":1e999}',
    b'{"subject":"\xff"}',
    b'{"subject":"\xc3\x28"}',
    b'{"subject":"\xed\xa0\x80"}',
    b'{"subject":"\\ud800"}',
    b'{"subject":"\n"}',
    b'\xef\xbb\xbf{"amount":1}',
    b'{"amount":1,}',
    b"[" * 60_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"metadata":{"a":' + b"[" * 9 + b"]" * 9 + b"}}",
    b'{"a\\n":' + b'{"a":' * 9 + b"1" + b"}" * 10,
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:24]))
def test_what_is_not_a_json_object_is_malformed(body):
    """400: there is no field to name."""
    assert isinstance(refusal(CreatePayment, body), Malformed)


DUPLICATES = [
    b'{"amount":1,"amount":1}',
    b'{"amount":1,"amount" :2}',
    b'{"amount":1,"\\u0061mount":2}',
    b'{"a":1,"a":{"b":1}}',
    b'{"a":{"b":1,"c":2},"a":{}}',
    b'{"metadata":{"x":"1","x":"2"}}',
    b'{"metadata":{"x":":","x" :"2"}}',
    b'{"splits":[{"amount":1,"amount":2}]}',
    b'{"subject":"a:b","amount":1,"amount":2}',
    b'{"subject":": :","amount"\n:1,"amount"\t:2}',
    b'{"subject":"\\":","amount" :1,"amount" :2}',
    b'{"":1,"":2}',
]


@pytest.mark.parametrize("body", DUPLICATES)
def test_a_key_that_comes_twice_is_malformed(body):
    """Two readers must not see two amounts, however the key is spelled or spaced."""
    error = refusal(CreatePayment, body)

    assert isinstance(error, Malformed)
    assert "twice" in error.detail


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"amount":1,"amount":2}', "/amount"),
        (b'{"metadata":{"amount":"1","amount":"2"}}', "/metadata/amount"),
        (b'{"splits":[{"amount":1},{"amount":1,"amount":2}]}', "/splits/1/amount"),
        (b'{"a":[[{"b/c":{"d":1,"d":2}}]]}', "/a/0/0/b~1c/d"),
    ],
)
def test_a_key_that_comes_twice_is_pointed_at(body, pointer):
    """Where it is, not where a field of its name is."""
    assert pointer == refusal(CreatePayment, body).param


@pytest.mark.parametrize("number", [b"1e400", b"9" * 4301])
def test_a_number_that_nobody_can_read_is_called_so(number):
    error = refusal(CreatePayment, b'{"amount":' + number + b"}")

    assert isinstance(error, Malformed)
    assert "number" in error.detail


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(
    sorted({*BARCODE, *QR, "metadata", "subject", "payer", "splits"})
) | st.text(max_size=8)


@given(kind=st.sampled_from(BODIES), body=st.binary(max_size=60))
def test_no_bytes_make_the_decoder_stumble(kind, body):
    """Malformed, InvalidField, or a value: nothing else comes out."""
    try:
        value = decode(kind, body)
    except (Malformed, InvalidField):
        return
    assert isinstance(value, kind)


@given(
    kind=st.sampled_from(BODIES),
    fields=st.dictionaries(names, values, max_size=6),
    ascii=st.booleans(),
)
def test_no_json_makes_the_decoder_stumble(kind, fields, ascii):
    """Any JSON, any type anywhere; what is accepted has no field but what was sent."""
    body = json.dumps({**BARCODE, **fields}, ensure_ascii=ascii).encode("utf-8", "replace")

    try:
        value = decode(kind, body)
    except (Malformed, InvalidField):
        return
    assert isinstance(value, kind)


spaces = st.text(alphabet=" \t\r\n", max_size=2)
keys = st.text(alphabet='ab":\\ é', max_size=3)
leaves = st.integers(0, 9) | st.text(alphabet='x":,{}\\ ', max_size=5)


@given(data=st.data())
def test_duplicates_are_found_exactly(data):
    """A body is refused for a repeated key when, and only when, a key is repeated in an object."""
    repeated = False

    def text_of(depth):
        nonlocal repeated
        if depth == 0 or data.draw(st.booleans()):
            return json.dumps(data.draw(leaves), ensure_ascii=data.draw(st.booleans()))
        members = data.draw(st.lists(keys, max_size=4))
        repeated = repeated or len(set(members)) < len(members)
        inside = ",".join(
            f"{data.draw(spaces)}{spelled(key)}{data.draw(spaces)}:{text_of(depth - 1)}"
            for key in members
        )
        return "{" + inside + "}"

    def spelled(key):
        plain = json.dumps(key)
        return plain.replace("a", "\\u0061") if data.draw(st.booleans()) else plain

    body = f'{{"x":{text_of(3)}}}'.encode()

    error = refusal(CreatePayment, body)
    assert repeated == (isinstance(error, Malformed) and "twice" in error.detail), body


def test_depth_and_size_do_not_hide_a_duplicate():
    """Not even one whose first value would have been too deep."""
    deep = b"[" * 20_000 + b"]" * 20_000

    assert isinstance(refusal(CreatePayment, b'{"a":' + deep + b',"a":1}'), Malformed)


OTHERS = [
    (CreateRefund, {}, None),
    (CreateRefund, {"amount": 100, "reason": "cold soup", "metadata": {"a": "b"}}, None),
    (CreateRefund, {"amount": 0}, "/amount"),
    (CreateRefund, {"reason": "4111111111111111"}, "/reason"),
    (CreateRefund, {"status": "succeeded"}, "/status"),
    (CancelRequest, {}, None),
    (CancelRequest, {"force": True}, "/force"),
    (CreateClock, {}, None),
    (AdvanceClock, {"seconds": 60}, None),
    (AdvanceClock, {"to": "2026-12-01T08:00:00Z"}, None),
    (AdvanceClock, {"to": "2026-12-01T08:00:00"}, "/to"),
    (AdvanceClock, {"to": "tomorrow"}, "/to"),
    (AdvanceClock, {}, "/seconds"),
    (AdvanceClock, {"seconds": 1, "to": "2026-12-01T08:00:00Z"}, "/seconds"),
    (AdvanceClock, {"seconds": 0}, "/seconds"),
    (AdvanceClock, {"seconds": 1.5}, "/seconds"),
    (NewMerchant, {"name": "面馆"}, None),
    (NewMerchant, {"name": ""}, "/name"),
    (NewMerchant, {"name": "x", "status": "active"}, "/status"),
    (NewStore, {"name": "x", "closing_minute": 240}, None),
    (NewStore, {"name": "x", "closing_minute": 1440}, "/closing_minute"),
    (NewTerminal, {"name": "x"}, "/store"),
    (NewKey, {"type": "hmac-sha256", "scopes": ["*"]}, None),
    (NewKey, {"type": "ed25519", "public_key": "-----BEGIN PUBLIC KEY-----\nMCo=\n"}, None),
    (NewKey, {"type": "rsa"}, "/type"),
    (NewKey, {"type": "bearer", "secret": "sk_test_mine"}, "/secret"),
    (Rotation, {"overlap_seconds": 60}, None),
    (Rotation, {"overlap_seconds": -1}, "/overlap_seconds"),
]


@pytest.mark.parametrize(("kind", "fields", "pointer"), OTHERS)
def test_the_other_bodies(kind, fields, pointer):
    """Refunds, clocks, and what the directory takes."""
    body = json.dumps(fields).encode()

    if pointer is None:
        assert isinstance(decode(kind, body), kind)
    else:
        assert pointer == refusal(kind, body).param


def test_a_body_that_says_nothing_may_be_left_out():
    """Cancel and clocks; a refund of everything is worth a pair of braces."""
    assert isinstance(decode(CancelRequest, b""), CancelRequest)
    assert isinstance(decode(CreateClock, b""), CreateClock)
    assert isinstance(refusal(CreateRefund, b""), Malformed)


def test_an_instant_is_read_in_milliseconds():
    """With its offset."""
    body = b'{"to":"2026-12-01T08:00:00.250+08:00"}'

    assert 1_796_083_200_250 == decode(AdvanceClock, body).to_ms


def test_a_card_number_raises_an_alarm_that_does_not_repeat_it():
    """People should talk to whoever sends such things."""
    with capture_logs() as lines:
        refusal(CreatePayment, body_of(BARCODE, metadata={"note": "4111111111111111"}))

    assert ["card number refused"] == [line["event"] for line in lines]
    assert ("warning", "/metadata/note") == (lines[0]["log_level"], lines[0]["param"])
    assert "4111" not in str(lines)


CARDS = [
    ("4111111111111111", True),
    ("4111111111111112", False),
    ("4222222222222", True),
    ("6212345678900000003", True),
    ("378282246310005", True),
    ("2223003122003222", True),
    ("3530 1113 3330 0000", True),
    ("x5555-5555-5555-4444y", True),
    ("41111111111111111111111", False),
    ("411111111111", False),
    ("20261121183000", False),
    ("1795000000000", False),
]


@pytest.mark.parametrize(("text", "found"), CARDS)
def test_card_numbers_are_known_by_their_digits(text, found):
    """13-19 digits with a check digit that fits, in one piece or in the groups of a card."""
    assert found is has_card_number(text)
