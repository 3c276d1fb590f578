"""The connector over a scripted client: answers and callbacks that are not what they should be."""

import msgspec
import pytest

from payments.channels.base import Approved, Awaiting, Declined, OrderRef, PayOrder, Unknown, Unpaid
from payments.channels.transport import HttpAnswer, NoAnswer, NotSent
from payments.channels.wechat import crypto, wire
from payments.channels.wechat.keys import PlatformKeys
from payments.payment import Way

NUMBER = "01K5AZ00000000000000000000"
ORDER = PayOrder(NUMBER, 3800, "cny", Way.QR, "wechat", "mch_1")
REF = OrderRef(NUMBER, 3800, "cny", Way.BARCODE, "wechat", "mch_1", 0)


class Wire:
    """An `HttpClient` that gives the answers it was told to, and keeps the requests."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.requests = []

    async def send(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


# --- answers ---------------------------------------------------------------------------------


async def test_the_scripted_success_is_believed(shop, sign, shown):
    body = shown()
    http = Wire(HttpAnswer(200, sign(body), body))

    answer = await shop.channel(http).inquire(REF)

    assert isinstance(answer, Approved)
    request = http.requests[0]
    assert request.headers["Wechatpay-Serial"] == shop.given["public_key_id"]
    assert "Content-Type" not in request.headers
    caller = wire.parse_authorization(request.headers["Authorization"])
    target = request.url.removeprefix(shop.url)
    text = wire.request_text("GET", target, caller.timestamp, caller.nonce, b"")
    key = crypto.load_private_key(shop.given["merchant_private_key_pem"].encode()).public_key()
    assert crypto.verify(key, text, caller.signature)


@pytest.mark.parametrize(
    "changes",
    [
        {"out_trade_no": "01K5AZ00000000000000000001"},
        {"appid": "wx0000000000000000"},
        {"mchid": "1900000002"},
        {"appid": None},
        {"sub_mchid": "1900000109"},
        {"transaction_id": None},
        {"transaction_id": "4" * 65},
        {"amount": None},
        {"amount": {"total": 3800, "currency": "USD"}},
        {"amount": {"total": 0}},
        {"amount": {"total": 2**31}},
        {"amount": {"total": 2**70}},
        {"amount": {"total": "3800"}},
        {"amount": {"total": 3800.0}},
        {"amount": {"total": 3800, "payer_total": 3801}},
        {"amount": {"total": 3800, "payer_total": -1}},
        {"promotion_detail": [{"amount": 3801, "type": "NOCASH"}]},
        {"promotion_detail": [{"amount": -1, "type": "NOCASH"}]},
        {"promotion_detail": "x"},
        {"trade_state": "SUCCEEDED"},
        {"trade_state": "success"},
        {"trade_state": None},
    ],
)
async def test_a_signed_answer_that_is_not_ours_or_cannot_be_is_unknown(shop, sign, shown, changes):
    body = shown(**changes)

    answer = await shop.channel(Wire(HttpAnswer(200, sign(body), body))).inquire(REF)

    assert isinstance(answer, Unknown)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("SUCCESS", Approved),
        ("REFUND", Approved),
        ("NOTPAY", Unpaid("open")),
        ("CLOSED", Unpaid("closed")),
        ("REVOKED", Unpaid("reversed")),
        ("USERPAYING", Awaiting()),
        ("ACCEPT", Awaiting()),
        ("PAYERROR", Declined),
    ],
)
async def test_every_state_has_one_meaning(shop, sign, shown, state, expected):
    body = shown(trade_state=state)

    answer = await shop.channel(Wire(HttpAnswer(200, sign(body), body))).inquire(REF)

    assert isinstance(answer, expected) if isinstance(expected, type) else answer == expected


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("wechatpay-signature", None),
        ("wechatpay-signature", "AAAA"),
        ("wechatpay-signature", "not base64"),
        ("wechatpay-signature", "WECHATPAY/SIGNTEST/AAAA"),
        ("wechatpay-timestamp", "0"),
        ("wechatpay-timestamp", None),
        ("wechatpay-nonce", "other"),
        ("wechatpay-serial", "PUB_KEY_ID_0199"),
        ("wechatpay-signature-type", "WECHATPAY2-SM2-WITH-SM3"),
    ],
)
async def test_a_success_with_a_damaged_seal_is_unknown(shop, sign, shown, part, value):
    body = shown()
    headers = {k: v for k, v in (sign(body) | {part: value}).items() if v is not None}

    answer = await shop.channel(Wire(HttpAnswer(200, headers, body))).inquire(REF)

    assert isinstance(answer, Unknown)


@pytest.mark.parametrize("change", [b"3800", b"SUCCESS", NUMBER.encode()])
async def test_a_success_that_was_changed_on_the_way_is_unknown(shop, sign, shown, change):
    body = shown()
    other = body.replace(change, change[::-1])
    assert other != body

    answer = await shop.channel(Wire(HttpAnswer(200, sign(body), other))).inquire(REF)

    assert Unknown("the signature is wrong") == answer


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_an_old_answer_is_not_played_again(shop, sign, shown, seconds):
    body = shown()
    headers = sign(body, timestamp=shop.clock.real_ms() // 1000 + seconds)

    answer = await shop.channel(Wire(HttpAnswer(200, headers, body))).inquire(REF)

    assert Unknown("the signature is too old or too new") == answer


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":'])
async def test_a_signed_answer_of_another_form_is_unknown(shop, sign, body):
    channel = shop.channel(Wire(*[HttpAnswer(200, sign(body), body)] * 3))

    assert isinstance(await channel.inquire(REF), Unknown)
    assert isinstance(await channel.reverse(REF), Unknown)
    assert isinstance(await channel.pay(ORDER), Unknown)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (404, b'{"code":"ORDER_NOT_EXISTS"}'),
        (400, b'{"code":"ORDER_NOT_EXIST"}'),
        (500, b'{"code":"ORDER_NOT_EXIST"}'),
        (302, b""),
        (202, b'{"code":"USERPAYING"}'),
        (201, b"{}"),
        (401, b'{"code":["SIGN_ERROR"]}'),
    ],
)
async def test_only_a_404_of_the_right_code_says_that_there_is_no_order(shop, status, body):
    answer = await shop.channel(Wire(HttpAnswer(status, {}, body))).inquire(REF)

    assert Unknown(f"HTTP {status}") == answer


@pytest.mark.parametrize("trouble", [NotSent("x"), NoAnswer("x")])
async def test_a_broken_line_is_unknown_for_every_question(shop, trouble):
    channel = shop.channel(Wire(*[trouble] * 3))

    assert isinstance(await channel.inquire(REF), Unknown)
    assert isinstance(await channel.reverse(REF), Unknown)
    assert isinstance(await channel.close(REF), Unknown)


async def test_only_what_was_certainly_not_sent_may_go_elsewhere(shop):
    channel = shop.channel(Wire(NotSent("x"), NoAnswer("x")))

    assert (await channel.pay(ORDER)).not_sent
    assert isinstance(await channel.pay(ORDER), Unknown)


async def test_an_unsigned_204_closes_nothing(shop):
    assert isinstance(await shop.channel(Wire(HttpAnswer(204, {}, b""))).close(REF), Unknown)


@pytest.mark.parametrize(
    "changes", [{"out_trade_no": "other"}, {"mchid": "1900000002"}, {"appid": None}]
)
async def test_a_reverse_of_another_order_undid_nothing(shop, sign, changes):
    told = {"appid": shop.given["appid"], "mchid": shop.given["mchid"], "out_trade_no": NUMBER}
    body = msgspec.json.encode({k: v for k, v in (told | changes).items() if v is not None})

    answer = await shop.channel(Wire(HttpAnswer(200, sign(body), body))).reverse(REF)

    assert isinstance(answer, Unknown)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "ORDER_NOT_EXIST", Unpaid("absent")),
        (403, "TRADE_ERROR", Declined),
        (401, "SIGN_ERROR", Unknown),
        (429, "FREQUENCY_LIMITED", Unknown),
        (500, "SYSTEM_ERROR", Unknown),
        (403, "", Unknown),
    ],
)
async def test_a_refused_reverse(shop, status, code, expected):
    body = msgspec.json.encode({"code": code} if code else {})

    answer = await shop.channel(Wire(HttpAnswer(status, {}, body))).reverse(REF)

    assert isinstance(answer, expected) if isinstance(expected, type) else answer == expected


async def test_the_channels_words_are_not_ours(shop):
    """What is unsigned is not repeated: it could be a payer's name, or anything else."""
    body = b'{"code":"NOT_ENOUGH","message":"<script>oAnna"}'
    order = ORDER

    declined = await shop.channel(Wire(HttpAnswer(403, {}, body))).pay(order)

    assert "the payer's balance is too low" == declined.message


# --- certificates ----------------------------------------------------------------------------


@pytest.fixture
async def certificates(shop):
    """The sandbox's own answer with its certificates, as our client would get it."""
    said = await shop.call("GET", "/v3/certificates")
    return HttpAnswer(said.status, said.headers, said.body)


def foreign(shop, body):
    """A success signed by nobody, with the serial number of a certificate that nobody knows."""
    seal = wire.Seal("AB" * 20, "n", shop.clock.real_ms() // 1000, b"s")
    headers = {name.lower(): value for name, value in wire.seal_headers(seal).items()}
    return HttpAnswer(200, headers, body)


async def test_unknown_serials_make_us_ask_once_a_minute(shop, shown, certificates):
    """Anybody can send us a serial number that nobody knows."""
    unknown = foreign(shop, shown())
    http = Wire(unknown, certificates, unknown, unknown, unknown, certificates)
    channel = shop.channel(http, known={})

    for _ in range(3):
        assert Unknown("the signature is of an unknown key") == await channel.inquire(REF)
    assert 4 == len(http.requests)
    shop.clock.advance(61)
    http.answers[0] = foreign(shop, shown())
    await channel.inquire(REF)

    downloads = [request for request in http.requests if request.url.endswith("/v3/certificates")]
    assert 2 == len(downloads)


async def test_an_unknown_public_key_cannot_be_downloaded(shop, sign, shown):
    body = shown()
    http = Wire(HttpAnswer(200, sign(body, serial="PUB_KEY_ID_0199"), body))

    assert isinstance(await shop.channel(http).inquire(REF), Unknown)
    assert 1 == len(http.requests)


@pytest.mark.parametrize(
    "damage",
    [
        lambda a: HttpAnswer(200, a.headers | {"wechatpay-signature": "AAAA"}, a.body),
        lambda a: HttpAnswer(200, a.headers | {"wechatpay-timestamp": "1"}, a.body),
        lambda a: HttpAnswer(200, a.headers | {"wechatpay-serial": "CD" * 20}, a.body),
        lambda a: HttpAnswer(200, {}, a.body),
        lambda a: HttpAnswer(200, a.headers, a.body.replace(b'"nonce":"', b'"nonce":"0')),
        lambda a: HttpAnswer(200, a.headers, a.body.replace(b'serial_no":"', b'serial_no":"0')),
        lambda a: HttpAnswer(200, a.headers, b'{"data":[]}'),
        lambda a: HttpAnswer(200, a.headers, b"{}"),
        lambda a: HttpAnswer(500, a.headers, a.body),
        lambda a: NoAnswer("x"),
    ],
)
async def test_certificates_are_believed_twice_over_or_not_at_all(shop, certificates, damage):
    channel = shop.channel(Wire(damage(certificates)), known={}, public_key_id=None)

    await channel.start()

    assert shop.keys.find(shop.given["platform_serial"]) is None


async def test_a_certificate_that_has_expired_verifies_nothing(shop, certificates):
    channel = shop.channel(Wire(certificates), known={}, public_key_id=None)
    await channel.start()
    assert shop.keys.find(shop.given["platform_serial"])

    shop.clock.advance(6 * 366 * 86_400)

    assert shop.keys.find(shop.given["platform_serial"]) is None


async def test_certificates_sealed_with_another_key_are_not_ours(shop, certificates):
    keys = PlatformKeys({}, b"0" * 32, shop.verifier, shop.clock)

    assert not await keys.learn(certificates, wire.parse_seal(certificates.headers))
