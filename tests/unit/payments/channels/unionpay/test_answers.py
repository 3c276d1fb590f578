"""Answers and callbacks that somebody changed on the way: what may be believed, and what not."""

import json
from random import Random
from urllib.parse import parse_qsl, urlencode

import pytest

from payments.channels.base import Approved, Awaiting, Declined, Unknown, Unpaid
from payments.channels.transport import Callback, HttpAnswer, NoAnswer, NotSent
from payments.channels.unionpay import wire
from payments.channels.unionpay.identity import Identity
from payments.payment import Way

TRADE = "0ABCDEFGHJKMNPQRSTVWXYZ001"
MUTATIONS = 400
SEED = 20261122


class Fake:
    """Answers every request with what `make` says: an answer, or an exception to raise."""

    def __init__(self, make) -> None:
        self.sent = []
        self._make = make

    async def send(self, request):
        self.sent.append(request)
        answer = self._make(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _request_of(request) -> dict[str, str]:
    if request.url.endswith(".do"):
        return dict(parse_qsl(request.body.decode()))
    return json.loads(request.body)


class Platform:
    """Signs answers as the platform does, after `change` had its way with them."""

    def __init__(self, bay, change=None, **fields: str) -> None:
        self._identity = bay.sandbox.identity
        self._change = change
        self._fields = fields

    def __call__(self, request) -> HttpAnswer:
        asked = _request_of(request)
        is_acp = request.url.endswith(".do")
        keep = ("serProvId", "merId", "orderNo", "origOrderNo", "txnAmt", "orderId", "txnTime")
        echo = {name: asked[name] for name in keep if name in asked}
        fields = {k: v for k, v in (echo | self._fields).items() if v is not None}
        return HttpAnswer(200, {}, self.signed(fields, is_acp=is_acp))

    def signed(self, fields: dict[str, str], *, is_acp: bool) -> bytes:
        fields = dict(fields)
        if is_acp:
            fields["signPubKeyCert"] = self._identity.platform_pem
        text = wire.acp_signed_text(fields) if is_acp else wire.signed_text(fields)
        fields["signature"] = wire.encode_signature(self._identity.sign(text))
        if self._change is not None:
            self._change(fields)
        return wire.encode_bare(fields) if is_acp else wire.encode_json(fields)


def _channel(bay, make):
    return bay.connect("http://channel.test", http=Fake(make))


PAID = {"respCode": "00", "transIndex": "202611220800000000001"}


async def test_the_platforms_own_answer_is_believed(bay):
    outcome = await _channel(bay, Platform(bay, **PAID)).pay(bay.order())
    assert isinstance(outcome, Approved)


@pytest.mark.parametrize(
    "fields",
    [
        {"orderNo": "ANOTHER1"},
        {"orderNo": None},
        {"merId": "777290058199002"},
        {"merId": None},
        {"serProvId": "1"},
        {"txnAmt": None},
        {"txnAmt": "38.00"},
        {"txnAmt": "１"},
        {"currencyCode": "840"},
        {"transIndex": None},
        {"transIndex": ""},
        {"respCode": None},
        {"respCode": "0"},
        {"respCode": "000"},
        {"respCode": "88"},
        {"respCode": "A5"},
        {"couponInfo": "{"},
        {"couponInfo": "{}"},
        {"couponInfo": "[1]"},
        {"couponInfo": '[{"spnsrId":"1","offstAmt":"-1"}]'},
        {"couponInfo": '[{"spnsrId":"1","offstAmt":1}]'},
        {"couponInfo": '[{"spnsrId":"1","offstAmt":"3801"}]'},
        {"couponInfo": '[{"offstAmt":"1"}]'},
        {"settleAmt": "3801"},
        {"settleAmt": "x"},
    ],
    ids=str,
)
async def test_a_signed_answer_that_does_not_fit_is_unknown(bay, fields):
    outcome = await _channel(bay, Platform(bay, **(PAID | fields))).pay(bay.order())
    assert isinstance(outcome, Unknown)


async def test_another_amount_is_reported_for_the_shard_to_compare(bay):
    answer = Platform(bay, **PAID, txnAmt="3799")
    outcome = await _channel(bay, answer).pay(bay.order())
    assert 3799 == outcome.amount


@pytest.mark.parametrize(
    "answer",
    [
        NoAnswer("lost"),
        HttpAnswer(200, {}, b""),
        HttpAnswer(200, {}, b"{}"),
        HttpAnswer(200, {}, b"null"),
        HttpAnswer(200, {}, b"<html>"),
        HttpAnswer(200, {}, b'{"respCode":"00"}'),
        HttpAnswer(200, {}, b"\xff" * 100),
        HttpAnswer(200, {}, b"{" * 100_000),
        HttpAnswer(200, {}, b'{"a":"' + b"x" * 2_000_000 + b'"}'),
        HttpAnswer(302, {"location": "http://elsewhere"}, b""),
        HttpAnswer(502, {}, b"bad gateway"),
    ],
    ids=lambda answer: repr(answer)[:60],
)
async def test_what_is_no_answer_of_the_channel_is_unknown(bay, answer):
    channel = _channel(bay, lambda request: answer)
    for way in (Way.BARCODE, Way.JSAPI, Way.QR):
        order = bay.order(way=way)
        assert isinstance(await channel.pay(order), Unknown)
        assert isinstance(await channel.inquire(bay.about(order)), Unknown)
        assert isinstance(await channel.close(bay.about(order)), Unknown)
        assert isinstance(await channel.refund(bay.back(order, 1)), Unknown)
        assert isinstance(await channel.inquire_refund(bay.back(order, 1)), Unknown)
    assert isinstance(await channel.reverse(bay.about(bay.order())), Unknown)


async def test_a_success_with_another_status_is_unknown(bay):
    platform = Platform(bay, **PAID)
    channel = _channel(bay, lambda r: HttpAnswer(500, {}, platform(r).body))
    assert Unknown("an answer with status 500") == await channel.pay(bay.order())


async def test_what_was_not_sent_may_go_to_another_channel(bay):
    channel = _channel(bay, lambda request: NotSent("no route"))
    for way in (Way.BARCODE, Way.JSAPI, Way.QR):
        outcome = await channel.pay(bay.order(way=way))
        assert isinstance(outcome, Declined)
        assert outcome.not_sent


@pytest.mark.parametrize(
    ("code", "failure", "not_sent"),
    [
        ("01", "declined", False),
        ("10", "channel_error", True),
        ("11", "channel_error", True),
        ("13", "channel_error", True),
        ("30", "declined", False),
        ("31", "channel_error", True),
        ("32", "channel_error", True),
        ("33", "limit_exceeded", False),
        ("34", "channel_error", False),
        ("38", "risk_rejected", False),
        ("39", "auth_code_expired", False),
        ("60", "declined", False),
        ("61", "declined", False),
        ("64", "insufficient_funds", False),
        ("75", "declined", False),
    ],
)
async def test_refusals_have_our_codes(bay, code, failure, not_sent):
    outcome = await _channel(bay, Platform(bay, respCode=code)).pay(bay.order())
    assert isinstance(outcome, Declined)
    assert (failure, code, not_sent) == (outcome.code, outcome.channel_code, outcome.not_sent)


@pytest.mark.parametrize("code", ["03", "04", "05", "06", "12", "37", "42", "45", "46", "99"])
async def test_doubtful_codes_are_unknown(bay, code):
    for way in (Way.BARCODE, Way.JSAPI, Way.QR):
        channel = _channel(bay, Platform(bay, respCode=code))
        assert Unknown(f"respCode {code}") == await channel.pay(bay.order(way=way))
        assert isinstance(await channel.inquire(bay.about(bay.order(way=way))), Unknown)


async def test_02_means_that_the_payer_is_paying_and_only_there(bay):
    platform = Platform(bay, respCode="02")
    assert Awaiting() == await _channel(bay, platform).pay(bay.order())
    refused = await _channel(bay, platform).pay(bay.order(way=Way.JSAPI))
    assert isinstance(refused, Declined)


@pytest.mark.parametrize(
    ("origin", "outcome"),
    [
        ("02", Unpaid("open")),
        ("03", Unpaid("closed")),
        ("04", Unpaid("reversed")),
        ("05", Awaiting()),
    ],
)
async def test_a_query_of_the_json_interface_says_what_became_of_it(bay, origin, outcome):
    channel = _channel(bay, Platform(bay, respCode="00", origRespCode=origin))
    assert outcome == await channel.inquire(bay.about(bay.order()))


@pytest.mark.parametrize("origin", [None, "", "07", "99"])
async def test_a_query_that_says_nothing_known_is_unknown(bay, origin):
    for way in (Way.BARCODE, Way.QR):
        channel = _channel(bay, Platform(bay, respCode="00", origRespCode=origin))
        assert isinstance(await channel.inquire(bay.about(bay.order(way=way))), Unknown)


@pytest.mark.parametrize("code", ["10", "11", "13", "31", "32"])
async def test_a_refused_question_is_no_answer_about_the_order(bay, code):
    channel = _channel(bay, Platform(bay, respCode=code))
    for way in (Way.BARCODE, Way.QR):
        order = bay.order(way=way)
        assert isinstance(await channel.inquire(bay.about(order)), Unknown)
        assert isinstance(await channel.inquire_refund(bay.back(order, 1)), Unknown)
    assert isinstance(await channel.reverse(bay.about(bay.order())), Unknown)


@pytest.mark.parametrize(
    "fields",
    [
        {"orderId": "ANOTHER1"},
        {"merId": None},
        {"txnTime": "20200101000000"},
        {"txnTime": None},
        {"currencyCode": "840"},
        {"txnAmt": None},
        {"queryId": None},
    ],
    ids=str,
)
async def test_a_signed_acp_answer_that_does_not_fit_is_unknown(bay, fields):
    paid = {"respCode": "00", "origRespCode": "00", "txnAmt": "3800", "queryId": "1"} | fields
    channel = _channel(bay, Platform(bay, **paid))
    assert isinstance(await channel.inquire(bay.about(bay.order(way=Way.QR))), Unknown)


@pytest.mark.parametrize("code", [None, "", "x" * 600, "https://qr\n", "码"])
async def test_a_code_that_nobody_could_show_is_unknown(bay, code):
    channel = _channel(bay, Platform(bay, respCode="00", qrCode=code))
    assert isinstance(await channel.pay(bay.order(way=Way.QR)), Unknown)


@pytest.mark.parametrize("data", [None, "", "[]", "{}", '{"a":{}}', '{"a":1.5}', "{", '"x"'])
async def test_parameters_that_no_wallet_takes_are_unknown(bay, data):
    channel = _channel(bay, Platform(bay, respCode="00", payData=data))
    assert isinstance(await channel.pay(bay.order(way=Way.JSAPI)), Unknown)


async def test_an_answer_signed_with_anybodys_certificate_is_unknown(bay):
    """The certificate stands in the message: a stranger's own would verify a stranger's answer."""
    stranger = Identity.open(None, Random(2), bay.clock.real_ms())
    platform = Platform(bay, respCode="00", qrCode="https://qr.95516.com/1")
    platform._identity = stranger
    wrong = Unknown("a message with a certificate that does not count")
    assert wrong == await _channel(bay, platform).pay(bay.order(way=Way.QR))


async def test_a_reverse_refund_of_another_amount_is_not_believed(bay):
    def answer(request):
        operation = request.url.rsplit("/", 1)[1]
        made = {
            "queryOrder": {"respCode": "00", "origRespCode": "00", "txnAmt": "3800", **PAID},
            "refund": {"respCode": "00", "txnAmt": "1"},
            "refundQuery": {"respCode": "00", "origRespCode": "00", "txnAmt": "1"},
        }[operation]
        return Platform(bay, **made)(request)

    outcome = await _channel(bay, answer).reverse(bay.about(bay.order()))
    assert isinstance(outcome, Unknown)


async def test_a_refund_under_way_is_not_a_reverse_yet(bay):
    def answer(request):
        operation = request.url.rsplit("/", 1)[1]
        made = {
            "queryOrder": {"origRespCode": "00", "txnAmt": "3800", **PAID},
            "refund": {"respCode": "05"},
            "refundQuery": {"respCode": "00", "origRespCode": "02"},
        }[operation]
        return Platform(bay, **made)(request)

    outcome = await _channel(bay, answer).reverse(bay.about(bay.order()))
    assert Unknown("paid, and not given back yet") == outcome


async def test_a_merchant_trades_under_its_own_number(bay):
    fake = Fake(Platform(bay, **PAID))
    channel = bay.connect("http://channel.test", http=fake, sub_merchants={"mch_1": "M2"})
    assert isinstance(await channel.pay(bay.order()), Approved)
    assert "M2" == _request_of(fake.sent[0])["merId"]


async def test_nothing_of_ours_can_pass_for_another_field(bay):
    """The signed text is joined unescaped: our own texts hold neither `&` nor `=`."""
    fake = Fake(Platform(bay, **PAID))
    await bay.connect("http://channel.test", http=fake).pay(bay.order())
    sent = _request_of(fake.sent[0])
    assert "牛肉面   可乐 1" == sent["orderInfo"]
    assert not any(mark in value for mark in "&=" for n, value in sent.items() if n != "signature")


async def test_a_resent_order_is_the_same_request(bay):
    fake = Fake(Platform(bay, **PAID))
    channel = bay.connect("http://channel.test", http=fake)
    order = bay.order()
    await channel.pay(order)
    bay.advance(100)
    await channel.pay(order)
    assert fake.sent[0].body == fake.sent[1].body


# --- mutations ----------------------------------------------------------------------------------


def _mutated(random: Random, body: bytes) -> bytes:
    """One bit, one byte, a cut, a repetition, another encoding."""
    at = random.randrange(len(body))
    match random.randrange(6):
        case 0:
            return body[:at] + bytes([body[at] ^ 1 << random.randrange(8)]) + body[at + 1 :]
        case 1:
            return body[:at]
        case 2:
            return body[:at] + bytes([random.randrange(256)]) + body[at:]
        case 3:
            return body[:at] + body[at + 1 :]
        case 4:
            return body[:at] + body[random.randrange(len(body)) :]
        case _:
            return body.decode().encode(random.choice(("utf-16", "utf-32", "utf-8-sig")))


@pytest.mark.parametrize("way", [Way.BARCODE, Way.QR])
async def test_no_mutated_answer_says_anything_else(bay, way):
    paid = {"origRespCode": "00", "txnAmt": "3800", "queryId": "7", "settleAmt": "3600", **PAID}
    order = bay.order(way=way)
    random = Random(SEED)
    right = await _channel(bay, Platform(bay, **paid)).inquire(bay.about(order))
    assert isinstance(right, Approved)

    def answer(request):
        return HttpAnswer(200, {}, _mutated(random, Platform(bay, **paid)(request).body))

    channel = _channel(bay, answer)
    unknown = 0
    for index in range(MUTATIONS):
        outcome = await channel.inquire(bay.about(order))
        assert outcome == right or isinstance(outcome, Unknown), (SEED, index)
        unknown += isinstance(outcome, Unknown)
    assert unknown > MUTATIONS * 0.9


def _callback(bay, way: Way) -> Callback:
    platform = Platform(bay)
    identity = bay.sandbox.identity
    if way is Way.QR:
        fields = {
            "merId": identity.mer_id, "orderId": TRADE, "txnType": "01", "txnSubType": "07",
            "respCode": "00", "txnAmt": "3800", "queryId": "7", "currencyCode": "156",
        }  # fmt: skip
        bare = platform.signed(fields, is_acp=True)
        body = urlencode(wire.decode_bare(bare)).encode()
        return Callback("POST", "", {"content-type": "application/x-www-form-urlencoded"}, body)
    fields = {
        "serProvId": identity.serv_prov_id, "merId": identity.mer_id, "orderNo": TRADE,
        "txnAmt": "3800", "transIndex": "7",
    }  # fmt: skip
    body = platform.signed(fields, is_acp=False)
    return Callback("POST", "", {"content-type": "application/json"}, body)


@pytest.mark.parametrize("way", [Way.BARCODE, Way.QR])
async def test_no_mutated_callback_is_heard(bay, way):
    callback = _callback(bay, way)
    right = (await bay.channel.hear(callback)).notice
    assert (TRADE, 3800) == (right.out_trade_no, right.outcome.amount)
    random = Random(SEED)
    refused = 0
    for index in range(MUTATIONS):
        body = _mutated(random, callback.body)
        heard = await bay.channel.hear(Callback("POST", "", callback.headers, body))
        assert heard.notice in (None, right), (SEED, index)
        if heard.notice is None:
            refused += 1
            assert heard.answer.status >= 400, (SEED, index)
    assert refused > MUTATIONS * 0.9


@pytest.mark.parametrize("kind", ["", "application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("body", [b"", b"{}", b"a=1", b"<xml/>", b"\xff\xfe", b"{" * 300_000])
async def test_a_callback_of_nobody_is_refused(bay, kind, body):
    heard = await bay.channel.hear(Callback("POST", "", {"content-type": kind}, body))
    assert heard.notice is None
    assert heard.answer.status >= 400


@pytest.mark.parametrize("way", [Way.BARCODE, Way.QR])
@pytest.mark.parametrize(
    "change", [{"merId": "777290058199002"}, {"respCode": "01"}, {"txnType": "31"}], ids=str
)
async def test_a_signed_callback_about_nothing_of_ours_is_acknowledged(bay, way, change):
    is_acp = way is Way.QR
    callback = _callback(bay, way)
    if "txnType" in change and not is_acp:
        change = {"origRespCode": "03"}
    fields = (wire.decode_form if is_acp else wire.decode_json)(callback.body) | change
    fields.pop("signature")
    signed = Platform(bay).signed(fields, is_acp=is_acp)
    body = urlencode(wire.decode_bare(signed)).encode() if is_acp else signed
    heard = await bay.channel.hear(Callback("POST", "", callback.headers, body))
    assert heard.notice is None
    assert (200, b"success") == (heard.answer.status, heard.answer.body)


@pytest.mark.parametrize("way", [Way.BARCODE, Way.QR])
@pytest.mark.parametrize("missing", ["order", "txnAmt"])
async def test_a_signed_callback_without_its_facts_is_refused(bay, way, missing):
    is_acp = way is Way.QR
    callback = _callback(bay, way)
    fields = (wire.decode_form if is_acp else wire.decode_json)(callback.body)
    fields.pop("signature")
    fields.pop({"order": "orderId" if is_acp else "orderNo"}.get(missing, missing))
    signed = Platform(bay).signed(fields, is_acp=is_acp)
    body = urlencode(wire.decode_bare(signed)).encode() if is_acp else signed
    heard = await bay.channel.hear(Callback("POST", "", callback.headers, body))
    assert heard.notice is None
    assert heard.answer.status >= 400
