"""What Alipay's sandbox checks before a method is asked, and how its answers are laid out."""

import base64
import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from payments.channels.alipay import wire
from payments.channels.alipay.identity import fresh, kept
from payments.channels.alipay.units import china_time

QUERY = "alipay.trade.query"
BIZ = {"out_trade_no": "N1"}
DAY_MS = 86_400_000


def error_of(answer):
    return answer["code"], answer["sub_code"]


# --- parameters ------------------------------------------------------------------------------

MISSING = [
    ("method", "isv.missing-method"),
    ("sign_type", "isv.missing-signature-type"),
    ("sign", "isv.missing-signature"),
    ("app_id", "isv.missing-app-id"),
    ("timestamp", "isv.missing-timestamp"),
    ("version", "isv.missing-version"),
]


@pytest.mark.parametrize(("name", "sub_code"), MISSING)
@pytest.mark.parametrize("value", [None, ""])
async def test_a_missing_parameter_is_named(alipay, name, sub_code, value):
    """Empty is missing. Nobody's key is known yet, so the answer is not signed."""
    method = QUERY if name != "method" else ""
    answer = wire.split(await alipay.send(alipay.params(QUERY, BIZ, **{name: value})), method)

    assert ("40001", sub_code) == error_of(json.loads(answer.content))
    assert answer.signature is None


WRONG = [
    ({"app_id": "2021000000000000"}, "40002", "isv.invalid-app-id"),
    ({"charset": "utf-7"}, "40002", "isv.invalid-charset"),
]


@pytest.mark.parametrize(("changed", "code", "sub_code"), WRONG)
async def test_what_cannot_be_signed_for_anybody_comes_unsigned(alipay, changed, code, sub_code):
    body = await alipay.send(alipay.params(QUERY, BIZ, **changed))
    members = json.loads(body)

    assert "sign" not in members
    (content,) = members.values()
    assert (code, sub_code) == error_of(content)


SIGNED_ERRORS = [
    ({"sign_type": "MD5", "sign": "x"}, "40002", "isv.invalid-signature-type"),
    ({"format": "XML"}, "40002", "isv.invalid-format"),
    ({"version": "2.0"}, "40002", "isv.invalid-parameter"),
    ({"timestamp": "yesterday"}, "40002", "isv.invalid-timestamp"),
    ({"timestamp": "2019-01-01 00:00:00"}, "40002", "isv.invalid-timestamp"),
    ({"sign": "AAAA"}, "40002", "isv.invalid-signature"),
    ({"alipay_root_cert_sn": "00"}, "40003", "isv.missing-signature-config"),
    ({"app_cert_sn": "00"}, "40003", "isv.missing-signature-config"),
    ({"method": "alipay.nothing.here"}, "40002", "isv.invalid-method"),
    ({"method": "alipay.trade.order.settle"}, "40006", "isv.insufficient-isv-permissions"),
    ({"app_auth_token": "202611BB"}, "20001", "aop.invalid-app-auth-token"),
    ({"biz_content": "{"}, "40002", "isv.invalid-parameter"),
    ({"biz_content": "[]"}, "40002", "isv.invalid-parameter"),
    ({"biz_content": '{"a":NaN}'}, "40002", "isv.invalid-parameter"),
    ({"biz_content": '{"a":' * 50_000}, "40002", "isv.invalid-parameter"),
    ({"biz_content": '{"a":' * 20 + "1" + "}" * 20}, "40002", "isv.invalid-parameter"),
    ({"biz_content": '{"a":"' + "b" * 70_000 + '"}'}, "40002", "isv.invalid-parameter"),
    ({"encrypt_type": "DES"}, "40002", "isv.invalid-encrypt-type"),
    ({"encrypt_type": "AES"}, "40002", "isv.decryption-error-unknown"),
]


@pytest.mark.parametrize(("changed", "code", "sub_code"), SIGNED_ERRORS)
async def test_other_mistakes_are_answered_under_a_signature(alipay, changed, code, sub_code):
    params = alipay.params(QUERY, BIZ, **changed)
    if changed.get("sign_type"):
        # The kind of signature is not one that could be answered with: RSA2 is.
        body = await alipay.send(params)
        content = json.loads(body)["alipay_trade_query_response"]
    else:
        content = await alipay.ask(params)

    assert (code, sub_code) == error_of(content)


async def test_every_parameter_is_under_the_signature(alipay):
    """Changed or added afterwards, the request is another one."""
    params = alipay.params(QUERY, BIZ, notify_url="https://shop.example/n")
    for name in set(params) - {"sign", "method", "app_id", "sign_type", "timestamp", "version"}:
        changed = {**params, name: params[name].swapcase()}
        assert "isv.invalid-signature" == (await alipay.ask(changed))["sub_code"], name

    added = {**params, "auth_token": "x"}
    assert "isv.invalid-signature" == (await alipay.ask(added))["sub_code"]


async def test_a_wrong_signature_is_shown_what_should_have_been_signed(alipay):
    """As the real gateway does: the quickest way to find a client's mistake."""
    refused = await alipay.call(QUERY, BIZ, sign="AAAA")

    assert "method=alipay.trade.query&amp;sign_type=RSA2" in refused["sub_msg"]


async def test_empty_parameters_are_not_signed(alipay):
    params = alipay.params(QUERY, BIZ)

    answer = await alipay.ask({**params, "return_url": "", "auth_token": ""})
    assert "ACQ.TRADE_NOT_EXIST" == answer["sub_code"]


@pytest.mark.parametrize("hours", [-23, -8, 0, 8, 23])
async def test_a_clients_local_time_is_near_enough(alipay, hours):
    """Many clients write their own zone's time."""
    at = china_time(alipay.sandbox.clock.real_ms() + hours * 3_600_000)

    assert "ACQ.TRADE_NOT_EXIST" == (await alipay.call(QUERY, BIZ, timestamp=at))["sub_code"]


# --- layout ----------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [(), ("charset",), ("method", "app_id", "sign", "charset")])
async def test_query_and_body_are_merged_before_the_signature_is_checked(alipay, query):
    params = alipay.params(QUERY, BIZ)

    assert "ACQ.TRADE_NOT_EXIST" == (await alipay.ask(params, query))["sub_code"]


async def test_everything_may_stand_in_the_query_of_a_get(alipay):
    params = alipay.params(QUERY, BIZ)
    async with alipay.session.get(f"{alipay.url}/gateway.do", params=params) as answer:
        body = await answer.read()

    assert b"ACQ.TRADE_NOT_EXIST" in body


@pytest.mark.parametrize("charset", ["GBK", "gb2312"])
async def test_gbk_is_spoken_both_ways(alipay, charset):
    """Request, signature and answer in the client's charset."""
    biz = {
        "out_trade_no": "G1", "scene": "bar_code", "auth_code": "281234567890120000",
        "subject": "大杯", "total_amount": "1.00",
    }  # fmt: skip
    paid = await alipay.call("alipay.trade.pay", biz, charset=charset)
    absent = await alipay.call(QUERY, BIZ, charset=charset)

    assert "10000" == paid["code"]
    assert "交易不存在" == absent["sub_msg"]
    assert f"text/html;charset={charset}" == alipay.headers["Content-Type"]
    (order,) = alipay.sandbox.engine.find("G1")
    assert "大杯" == order.extra["subject"]


async def test_an_answer_is_laid_out_as_the_official_clients_look_for_it(alipay):
    """`…_response":{` at its beginning, `},"sign":"` at the end of what is signed, slashes
    escaped, a trace_id among the headers."""
    body = await alipay.send(alipay.params("alipay.trade.precreate", {
        "out_trade_no": "L1", "subject": "a", "total_amount": "1.00",
    }))  # fmt: skip
    text = body.decode()
    begin = re.search(r'"[a-zA-Z_]+_response"\s*:\s*\{', text)
    end = re.search(r'\}\s*,\s*"sign"\s*:\s*"', text)

    assert begin is not None
    assert end is not None
    content = text[begin.end() - 1 : end.start() + 1]
    signature = text[end.end() : text.index('"', end.end())]
    public = alipay.identity.alipay_key.public_key()
    assert wire.verify(public, content.encode(), signature)
    assert "https:\\/\\/qr.alipay.com\\/bax" in content
    assert re.fullmatch(r"[0-9a-f]{32}", alipay.headers["trace_id"])
    assert "text/html;charset=utf-8" == alipay.headers["Content-Type"]


async def test_encrypted_content_is_read_and_the_answer_encrypted(alipay):
    """The signature of the request covers the cipher text, that of the answer the quoted one."""
    text = wire.encrypt(bytes(range(16)), json.dumps(BIZ).encode())
    params = alipay.params(QUERY, None, biz_content=text, encrypt_type="AES")
    body = await alipay.send(params)

    assert wire.split(body, QUERY).is_encrypted
    assert "ACQ.TRADE_NOT_EXIST" == (await alipay.ask(params))["sub_code"]


async def test_a_sandbox_tells_its_key_for_encrypted_content(restarted):
    """A client that encrypts is configured with it; a restart keeps it."""
    told = []
    for _ in range(2):
        async with restarted(aes_key=None) as alipay:
            async with alipay.session.get(f"{alipay.url}/_sandbox/aes_key") as answer:
                told.append(base64.b64decode((await answer.json())["aes_key"]))
            text = wire.encrypt(told[-1], json.dumps(BIZ).encode())
            params = alipay.params(QUERY, None, biz_content=text, encrypt_type="AES")
            said = wire.split(await alipay.send(params), QUERY)
            assert b"ACQ.TRADE_NOT_EXIST" in wire.opened(said, told[-1])

    assert told[0] == told[1]
    assert 16 == len(told[0])


async def test_junk_is_answered_and_nothing_breaks(alipay):
    """An error of the gateway's own, whatever comes."""
    for body in (b"", b"\xff" * 100, b"%zz=%", b"a" * 10_000, b"&" * 10_000, b"a=1&" * 1_000):
        async with alipay.session.post(f"{alipay.url}/gateway.do", data=body) as answer:
            content = json.loads(await answer.read())["error_response"]
            assert content["code"] in ("40001", "40002")
    async with alipay.session.get(f"{alipay.url}/other.do") as answer:
        assert 404 == answer.status
    async with alipay.session.put(f"{alipay.url}/gateway.do") as answer:
        assert 405 == answer.status


@pytest.mark.parametrize(
    ("fate", "code", "sub_code"),
    [("error", "20000", "isp.unknow-error"), ("busy", "40005", "isv.app-call-limited")],
)
async def test_faults_are_worded_as_the_gateway_words_them(alipay, fate, code, sub_code):
    """Ordered for one method only."""
    status, _ = await alipay.helper("faults", next=[fate], operations=["query"])
    assert 200 == status

    assert "10000" == (await alipay.pay("F1"))["code"]
    assert (code, sub_code) == error_of(await alipay.query("F1"))
    assert "10000" == (await alipay.query("F1"))["code"]


# --- who we are ------------------------------------------------------------------------------


async def test_the_credentials_are_those_of_the_public_contract(alipay):
    names = ["app_id", "seller_id", "app_private_key_pem", "app_public_key_pem"]
    names += ["alipay_public_key_pem", "gateway"]
    told = alipay.sandbox.credentials(alipay.url)

    assert names == list(told)
    assert f"{alipay.url}/gateway.do" == told["gateway"]
    assert re.fullmatch(r"2021\d{12}", told["app_id"])
    assert re.fullmatch(r"2088\d{12}", told["seller_id"])
    private = wire.load_private_key(told["app_private_key_pem"])
    public = wire.load_public_key(told["app_public_key_pem"])
    assert private.public_key().public_numbers() == public.public_numbers()


def test_a_folder_keeps_the_keys_for_its_owner_alone(tmp_path):
    """Again from the folder it is the same Alipay; without one it is always another."""
    first, again = kept(tmp_path / "a"), kept(tmp_path / "a")

    assert first.credentials("g") == again.credentials("g")
    assert first.app_id != fresh().app_id
    for path in (tmp_path / "a").iterdir():
        assert 0o600 == path.stat().st_mode & 0o777


# --- consent ---------------------------------------------------------------------------------


async def consent(alipay, page, **query):
    """Where a consent page sends the browser: the parameters."""
    query = {"app_id": alipay.identity.app_id, "redirect_uri": "https://e.org/a?b=1"} | query
    url = f"{alipay.url}/oauth2/{page}"
    async with alipay.session.get(url, params=query, allow_redirects=False) as answer:
        assert 302 == answer.status, await answer.text()
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


async def test_a_payer_agrees_and_the_shop_learns_his_id_once(alipay):
    sent = await consent(
        alipay, "publicAppAuthorize.htm", scope="auth_base", state="s", buyer_id="2088102169481075"
    )
    asked = {"grant_type": "authorization_code", "code": sent["auth_code"]}
    told = await alipay.call("alipay.system.oauth.token", **asked)

    assert ("1", "s") == (sent["b"], sent["state"])
    assert "2088102169481075" == told["user_id"]
    assert told["open_id"]
    again = alipay.params("alipay.system.oauth.token", **asked)
    content = json.loads(await alipay.send(again))["error_response"]
    assert ("40002", "isv.code-invalid") == error_of(content)


@pytest.mark.parametrize(
    "query",
    [{"app_id": "1"}, {"scope": "all"}, {"redirect_uri": "javascript:x"}, {"buyer_id": "<b>"}],
)
async def test_a_consent_page_sends_nobody_where_it_should_not(alipay, query):
    base = {"app_id": alipay.identity.app_id, "scope": "auth_base"}
    query = base | {"redirect_uri": "https://e.org"} | query
    url = f"{alipay.url}/oauth2/publicAppAuthorize.htm"
    async with alipay.session.get(url, params=query, allow_redirects=False) as answer:
        assert 200 == answer.status
        assert "错误代码" in await answer.text()


async def test_a_merchant_agrees_and_the_application_acts_for_it(alipay):
    """The token of one merchant opens its own numbers; after a year it is over."""
    sent = await consent(alipay, "appToAppAuth.htm", auth_app_id="2021000000000042")
    given = await alipay.call(
        "alipay.open.auth.token.app",
        {"grant_type": "authorization_code", "code": sent["app_auth_code"]},
    )
    token = given["app_auth_token"]
    await alipay.pay("M1")

    assert "2021000000000042" == given["auth_app_id"]
    absent = await alipay.call(QUERY, {"out_trade_no": "M1"}, app_auth_token=token)
    assert "ACQ.TRADE_NOT_EXIST" == absent["sub_code"]
    status, again = await alipay.helper("app_auth_token", auth_app_id="2021000000000042")
    assert (200, token, given["user_id"]) == (status, again["app_auth_token"], again["seller_id"])

    old = alipay.identity.app_auth_token("2021000000000042", 1_700_000_000_000)
    over = await alipay.call(QUERY, BIZ, app_auth_token=old)
    assert ("20001", "aop.app-auth-token-time-out") == error_of(over)
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    refused = await alipay.call(QUERY, BIZ, app_auth_token=forged)
    assert ("20001", "aop.invalid-app-auth-token") == error_of(refused)
