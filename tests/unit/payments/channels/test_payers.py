"""Who pays: what the wallets are asked, and which answers name somebody."""

import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from payments.channels.alipay import wire
from payments.channels.base import Declined, Known, NamesPayers, Unknown
from payments.channels.payers import AlipayPayers, WechatPayers
from payments.channels.transport import HttpAnswer, NoAnswer, NotSent
from payments.testing import ManualClock

BACK = "https://pay.example/p/T0KEN?x=1&y=2"
OURS = generate_private_key(public_exponent=65537, key_size=2048)
THEIRS = generate_private_key(public_exponent=65537, key_size=2048)


class Wire:
    """Answers the next request with what a test put there."""

    def __init__(self):
        self.sent = []
        self.next = HttpAnswer(200, {}, b"{}")

    async def send(self, request):
        self.sent.append(request)
        if isinstance(self.next, Exception):
            raise self.next
        return self.next


class Key:
    def __init__(self, key):
        self._key = key

    async def sign(self, text):
        return wire.signature_bytes(wire.sign(self._key, text))

    async def verify(self, text, signature):
        return wire.verify(self._key.public_key(), text, wire.signature_text(signature))


@pytest.fixture
def http():
    return Wire()


@pytest.fixture
def wechat(http):
    return WechatPayers("wx1", "s3cret", http)


@pytest.fixture
def alipay(http):
    keys = {"old": Key(OURS), "new": Key(THEIRS)}
    return AlipayPayers(
        "2021", "https://openapi.example/gateway.do", http, Key(OURS), keys, ManualClock()
    )


def said(content, *, key=THEIRS, name="alipay_system_oauth_token_response"):
    text = json.dumps(content, separators=(",", ":"))
    body = wire.joined(name, text, wire.sign(key, text.encode()))
    return HttpAnswer(200, {}, body.encode())


def test_both_name_payers(wechat, alipay):
    """As the lane expects it of them."""
    assert isinstance(wechat, NamesPayers)
    assert isinstance(alipay, NamesPayers)


def test_wechats_address_is_the_documented_one(wechat):
    """Its parameters in their order, silent consent, and the fragment at its end."""
    url = wechat.authorize_url(BACK, "state.1")

    assert url.startswith("https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx1&")
    assert url.endswith("#wechat_redirect")
    query = parse_qsl(urlsplit(url).query)
    assert ["appid", "redirect_uri", "response_type", "scope", "state"] == [n for n, _ in query]
    assert (BACK, "snsapi_base", "state.1") == tuple(
        dict(query)[name] for name in ("redirect_uri", "scope", "state")
    )


async def test_wechats_code_is_exchanged(wechat, http):
    """By GET with the app's secret; the openid is the payer."""
    http.next = HttpAnswer(200, {}, b'{"access_token":"t","openid":"oA1","scope":"snsapi_base"}')

    assert Known("oA1") == await wechat.identify("c0de")

    split = urlsplit(http.sent[0].url)
    assert ("GET", "api.weixin.qq.com", "/sns/oauth2/access_token") == (
        http.sent[0].method,
        split.netloc,
        split.path,
    )
    assert {
        "appid": ["wx1"],
        "secret": ["s3cret"],
        "code": ["c0de"],
        "grant_type": ["authorization_code"],
    } == parse_qs(split.query)


def test_alipays_address_is_the_documented_one(alipay):
    """Silent consent too."""
    url = alipay.authorize_url(BACK, "state.1")

    assert url.startswith("https://openauth.alipay.com/oauth2/publicAppAuthorize.htm?")
    assert {
        "app_id": ["2021"],
        "scope": ["auth_base"],
        "redirect_uri": [BACK],
        "state": ["state.1"],
    } == parse_qs(urlsplit(url).query)


async def test_alipays_code_is_exchanged(alipay, http):
    """Signed, as any request of ours; believed when signed with any key that is valid."""
    http.next = said({"user_id": "2088", "access_token": "t"})

    assert Known("2088") == await alipay.identify("c0de")

    sent = http.sent[0]
    params = dict(parse_qsl(sent.body.decode()))
    assert ("alipay.system.oauth.token", "authorization_code", "c0de") == tuple(
        params[name] for name in ("method", "grant_type", "code")
    )
    signature = params.pop("sign")
    assert wire.verify(OURS.public_key(), wire.request_text(params).encode(), signature)
    http.next = said({"open_id": "074a1CcTG"}, key=OURS)
    assert Known("074a1CcTG") == await alipay.identify("c0de")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"errcode":40029,"errmsg":"invalid code"}', Declined),
        (b'{"errcode":40029,"openid":"oA1"}', Declined),
        (b"{}", Unknown),
        (b'{"openid":""}', Unknown),
        (b'{"openid":"' + b"x" * 129 + b'"}', Unknown),
        (b'{"openid":"a\\nb"}', Unknown),
        (b'{"openid":7}', Unknown),
        (b"[]", Unknown),
        (b"<html>", Unknown),
        (b"\xff", Unknown),
    ],
)
async def test_only_an_openid_names_anybody(wechat, http, body, kind):
    """A refusal is one; everything else names nobody."""
    http.next = HttpAnswer(200, {}, body)

    assert kind is type(await wechat.identify("c0de"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said({"code": "40002", "sub_code": "isv.code-invalid"}, name="error_response"), Declined),
        (said({"code": "40002", "user_id": "2088"}), Declined),
        (said({}), Unknown),
        (said({"user_id": "2088"}, name="alipay_trade_pay_response"), Unknown),
        (
            HttpAnswer(200, {}, b'{"alipay_system_oauth_token_response":{"user_id":"2088"}}'),
            Unknown,
        ),
        (
            HttpAnswer(
                200, {}, b'{"alipay_system_oauth_token_response":{"user_id":"2"},"sign":"AAAA"}'
            ),
            Unknown,
        ),
        (HttpAnswer(502, {}, b""), Unknown),
    ],
)
async def test_only_a_signed_answer_names_anybody(alipay, http, answer, kind):
    """Whose name it is decides whose money moves."""
    http.next = answer

    assert kind is type(await alipay.identify("c0de"))


@pytest.mark.parametrize("trouble", [NotSent("no route"), NoAnswer("time-out")])
async def test_no_answer_names_nobody(wechat, alipay, http, trouble):
    """The payer tries again."""
    http.next = trouble

    assert Unknown("no answer") == await wechat.identify("c0de")
    assert Unknown("no answer") == await alipay.identify("c0de")


async def test_whom_it_names_is_in_no_text(wechat, http):
    """Neither the payer nor the code nor the secret."""
    http.next = HttpAnswer(200, {}, b'{"openid":"oA1"}')

    shown = repr(await wechat.identify("c0de")) + repr(wechat)

    assert not any(word in shown for word in ("oA1", "c0de", "s3cret"))


@given(st.binary(max_size=200))
async def test_no_answer_is_too_strange(body):
    """It names somebody, refuses, or says nothing; it never breaks."""
    http = Wire()
    http.next = HttpAnswer(200, {}, body)
    alipay = AlipayPayers("1", "https://x", http, Key(OURS), {"k": Key(THEIRS)}, ManualClock())

    assert isinstance(await WechatPayers("w", "s", http).identify("c"), Known | Declined | Unknown)
    assert type(await alipay.identify("c")) is Unknown
