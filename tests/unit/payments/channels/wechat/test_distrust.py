"""The connector over a scripted client: answers and callbacks that are not what they should be."""

import json

import msgspec
import pytest

from payments.channels.base import Approved, Awaiting, Declined, OrderRef, Unknown, Unpaid
from payments.channels.transport import Callback, HttpAnswer, NoAnswer, NotSent
from payments.channels.wechat import crypto, wire
from payments.channels.wechat.keys import PlatformKeys
from payments.channels.wechat.requests import WeChatSettings
from payments.payment import Way

NUMBER = "01K5AZ00000000000000000000"
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


@pytest.fixture
def sign(shop):
    """Makes headers that sign a body as WeChat Pay would, with what is asked to be different."""
    key = crypto.load_private_key(shop.sandbox.keys.newest("public_key").private_pem.encode())

    def made(body: bytes, **changes):
        stamp = {"serial": shop.given["public_key_id"], "nonce": "n"}
        stamp["timestamp"] = shop.clock.real_ms() // 1000
        stamp |= {name: value for name, value in changes.items() if name in stamp}
        text = wire.answer_text(stamp["timestamp"], stamp["nonce"], body)
        seal = wire.Seal(
            stamp["serial"], stamp["nonce"], stamp["timestamp"], crypto.sign(key, text)
        )
        return {name.lower(): value for name, value in wire.seal_headers(seal).items()}

    return made


@pytest.fixture
def shown(shop):
    """A transaction object of ours, as bytes, with what is asked to be different."""

    def made(**changes):
        whole = {
            "appid": shop.given["appid"],
            "mchid": shop.given["mchid"],
            "out_trade_no": NUMBER,
            "transaction_id": "4200000001202611220000000001",
            "trade_state": "SUCCESS",
            "amount": {"total": 3800, "payer_total": 3800, "currency": "CNY"},
        }
        whole |= changes
        return json.dumps({k: v for k, v in whole.items() if v is not None}).encode()

    return made


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
    assert isinstance(await channel.pay(_shown_order()), Unknown)


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

    assert (await channel.pay(_shown_order())).not_sent
    assert isinstance(await channel.pay(_shown_order()), Unknown)


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
    order = _shown_order()

    declined = await shop.channel(Wire(HttpAnswer(403, {}, body))).pay(order)

    assert "the payer's balance is too low" == declined.message


def _shown_order():
    from payments.channels.base import PayOrder

    return PayOrder(NUMBER, 3800, "cny", Way.QR, "wechat", "mch_1")


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


# --- callbacks -------------------------------------------------------------------------------


@pytest.fixture
def callback(shop, sign):
    """A signed callback about this plaintext."""

    def made(plain: bytes, original="transaction", event="TRANSACTION.SUCCESS", **changes):
        key, nonce = shop.given["api_v3_key"].encode(), "twelve bytes"
        box = {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": original,
            "original_type": original,
            "ciphertext": crypto.seal(changes.pop("key", key), nonce, original, plain),
        }
        told = {"id": "1", "event_type": event, "resource": box | changes.pop("box", {})}
        body = msgspec.json.encode(told)
        return Callback("POST", "", sign(body, **changes), body)

    return made


async def test_a_callback_is_heard_as_often_as_it_comes(shop, callback, shown):
    channel = shop.channel()
    told = callback(shown())

    first, second = await channel.hear(told), await channel.hear(told)

    assert isinstance(first.notice.outcome, Approved)
    assert (NUMBER, None) == (first.notice.out_trade_no, first.notice.out_refund_no)
    assert (204, b"") == (first.answer.status, first.answer.body)
    assert (500, "FAIL") == (first.refusal.status, json.loads(first.refusal.body)["code"])
    assert first.notice == second.notice


async def test_the_sandboxs_own_callback_is_heard(shop):
    channel = shop.channel()
    await channel.pay(_shown_order())
    await shop.control("pay", {"out_trade_no": NUMBER})

    heard = await channel.hear(await shop.callback())

    assert heard.notice.outcome == await channel.inquire(REF)


@pytest.mark.parametrize("mode", ["direct", "partner"])
async def test_the_sandboxs_refund_is_heard(shop, mode):
    from payments.channels.base import RefundOrder

    channel = shop.channel(mode=mode)
    await channel.pay(_shown_order())
    await shop.control("pay", {"out_trade_no": NUMBER})
    await shop.callback()
    asked = RefundOrder(NUMBER, "r1", 1000, 3800, "cny", merchant="mch_1")
    made = await channel.refund(asked)

    heard = await channel.hear(await shop.callback())

    assert (NUMBER, "r1") == (heard.notice.out_trade_no, heard.notice.out_refund_no)
    assert made == heard.notice.outcome


@pytest.mark.parametrize(
    ("status", "expected"),
    [("SUCCESS", Approved), ("CLOSED", Declined), ("ABNORMAL", Unknown), ("PROCESSING", Awaiting)],
)
async def test_a_refund_may_end_otherwise(shop, callback, status, expected):
    plain = {
        "mchid": shop.given["mchid"],
        "out_trade_no": NUMBER,
        "out_refund_no": "r1",
        "refund_id": "5030",
        "refund_status": status,
        "amount": {"total": 3800, "refund": 100},
    }
    told = callback(msgspec.json.encode(plain), "refund", f"REFUND.{status}")
    foreign = callback(msgspec.json.encode(plain | {"mchid": "1"}), "refund", "REFUND.SUCCESS")
    channel = shop.channel()

    assert isinstance((await channel.hear(told)).notice.outcome, expected)
    assert (await channel.hear(foreign)).notice is None


async def test_a_probe_is_refused_like_every_wrong_signature(shop, callback, shown):
    told = callback(shown())
    probe = dict(told.headers)
    probe["wechatpay-signature"] = wire.PROBE_PREFIX + probe["wechatpay-signature"]

    heard = await shop.channel().hear(Callback("POST", "", probe, told.body))

    assert (None, 401) == (heard.notice, heard.answer.status)


async def test_a_sandbox_that_probes_never_finds_us_asleep(shop):
    channel = shop.channel()
    await shop.control("faults", {"probe_ppm": 1_000_000})
    shop.statuses = [401, 204]
    await channel.pay(_shown_order())
    await shop.control("pay", {"out_trade_no": NUMBER})

    probe, told = await shop.callback(), await shop.callback()

    assert (await channel.hear(probe)).notice is None
    assert (await channel.hear(told)).notice is not None


async def test_wrong_callbacks_say_nothing_and_are_refused(shop, callback, shown, sign):
    good = callback(shown())
    garbage, long = b"{}", b"x" * 300_000
    wrong = {
        "method": Callback("GET", "", good.headers, good.body),
        "unsigned": Callback("POST", "", {}, good.body),
        "changed": Callback("POST", "", good.headers, good.body + b" "),
        "old": callback(shown(), timestamp=shop.clock.real_ms() // 1000 - 301),
        "no callback": Callback("POST", "", sign(garbage), garbage),
        "long": Callback("POST", "", sign(long), long),
        "another key": callback(shown(), key=b"0" * 32),
        "another algorithm": callback(shown(), box={"algorithm": "AEAD_SM4_GCM"}),
        "another nonce": callback(shown(), box={"nonce": ""}),
        "another app": callback(shown(appid="wx0000000000000000")),
        "another merchant": callback(shown(mchid="1900000002")),
        "a partner's": callback(shown(sub_mchid="1900000109")),
        "no order": callback(b"[]"),
        "no refund": callback(b"{}", "refund", "REFUND.SUCCESS"),
    }
    channel = shop.channel()

    heard = {name: await channel.hear(one) for name, one in wrong.items()}

    assert dict.fromkeys(wrong) == {name: one.notice for name, one in heard.items()}
    assert all(400 <= one.answer.status < 500 for one in heard.values())


async def test_news_of_something_else_are_acknowledged(shop, callback):
    heard = await shop.channel().hear(callback(b"{}", "profitsharing", "TRANSACTION"))

    assert (None, 204) == (heard.notice, heard.answer.status)


# --- settings --------------------------------------------------------------------------------

RIGHT = {
    "mchid": "1",
    "appid": "2",
    "merchant_serial": "3",
    "base_url": "https://example.com",
    "notify_url": "https://example.com/n",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "other"},
        {"mode": "partner"},
        {"sub_mchid": "5"},
        {"sub_appid": "5"},
        {"ask_timeout_s": 0},
    ],
)
def test_wrong_settings_cannot_be_made(wrong):
    with pytest.raises(ValueError):
        WeChatSettings(**RIGHT, **wrong)


def test_an_api_key_has_32_bytes_and_is_never_shown(clock):
    with pytest.raises(ValueError, match="31 bytes"):
        PlatformKeys({}, b"k" * 31, lambda pem: None, clock)

    assert "kkkk" not in repr(PlatformKeys({}, b"k" * 32, lambda pem: None, clock))
