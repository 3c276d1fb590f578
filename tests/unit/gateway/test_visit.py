"""Who opens a payer's page: the wallet, the language, the browser, and what OAuth carries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.payer.tokens import object_of, read_session, session_of, token_of
from gateway.payer.visit import (
    cookie_line,
    language_of,
    new_browser,
    read_state,
    state_for,
    visit_of,
    wallet_of_browser,
)
from gateway.payer.words import WALLETS, WORDS
from payments.ids import SeededEntropy
from payments.testing import DIGESTS, an_id

PAYMENT, PLATE = an_id("pay"), an_id("qrp")
TOKEN = token_of(DIGESTS, PAYMENT)


@pytest.mark.parametrize(
    ("user_agent", "wallet"),
    [
        ("Mozilla/5.0 (iPhone) Mobile/15E148 MicroMessenger/8.0.50(0x18003230)", "wechat"),
        ("Mozilla/5.0 (Linux; U; Android 14) AliApp(AP/10.6) AlipayClient/10.6.0", "alipay"),
        ("Mozilla/5.0 (iPhone) com.unionpay.chsp CloudPay UnionPay/1.0", "unionpay"),
        ("Mozilla/5.0 (Linux) UnionPay/1.0 SomeBank", "unionpay"),
        ("Mozilla/5.0 MicroMessenger AlipayClient", "alipay"),
        ("micromessenger", "wechat"),
        ("Mozilla/5.0 (iPhone) Version/18.0 Mobile/15E148 Safari/604.1", None),
        ("", None),
    ],
)
def test_a_browser_names_its_wallet(user_agent, wallet):
    """By the word that its app puts there."""
    assert wallet == wallet_of_browser(user_agent)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "zh-CN"),
        ("en", "en"),
        ("EN-us", "en"),
        ("zh-TW,en;q=0.9", "zh-CN"),
        ("en;q=0.3,zh;q=0.9", "zh-CN"),
        ("en;q=0.9,zh;q=0.3", "en"),
        ("en;q=0", "zh-CN"),
        ("fr,de", "zh-CN"),
        ("en;q=2", "zh-CN"),
        ("*", "zh-CN"),
        (",,,;q=;", "zh-CN"),
        ("fr," * 40 + "en", "zh-CN"),
    ],
)
def test_the_language_is_the_one_wanted_most(accepted, language):
    """Of the two there are."""
    assert language == language_of(accepted)


@given(st.text(max_size=200))
def test_no_header_is_too_strange(text):
    """Whatever a browser says of itself, it is somebody."""
    headers = CIMultiDictProxy(
        CIMultiDict({"User-Agent": text, "Accept-Language": text, "Cookie": text, "Accept": text})
    )
    visit = visit_of(headers)

    assert visit.language in WORDS
    assert visit.browser == "" or len(visit.browser) == 32


def test_a_browser_is_known_by_its_cookie():
    """Only by one that we made; the line keeps scripts and other sites away from it."""
    browser = new_browser(SeededEntropy(1))
    line = cookie_line(browser, secure=True).decode()

    assert line.startswith(f"Set-Cookie: tillway_page={browser}; Path=/p/;")
    assert all(word in line for word in ("HttpOnly", "SameSite=Lax", "Secure"))
    assert "Secure" not in cookie_line(browser, secure=False).decode()

    def seen(cookie):
        return visit_of(CIMultiDictProxy(CIMultiDict({"Cookie": cookie}))).browser

    assert browser == seen(f"a=b; tillway_page={browser}")
    assert "" == seen("tillway_page=whatever")


def test_a_consent_is_no_cookie():
    """What is kept with a payment cannot be sent as a cookie again."""
    visit = visit_of(CIMultiDictProxy(CIMultiDict({})))
    browser = new_browser(SeededEntropy(1))

    assert browser.encode() not in visit.consent(DIGESTS, browser)
    assert visit.consent(DIGESTS, "") is None


def test_what_oauth_carries_comes_back():
    """The wallet and the account; made up, for another page or cut it is nothing."""
    state = f"{state_for(DIGESTS, TOKEN, 'wechat')}.wechat-1"

    assert ("wechat", "wechat-1") == read_state(DIGESTS, TOKEN, state)
    for wrong in (
        "",
        state[:-9],
        state.replace("wechat.", "alipay.", 1),
        state.replace("wechat-1", "WeChat 1"),
        state.replace("wechat-1", "x" * 65),
    ):
        assert read_state(DIGESTS, TOKEN, wrong) is None
    assert read_state(DIGESTS, token_of(DIGESTS, PLATE), state) is None


@given(st.text(max_size=80))
def test_nobody_invents_a_state_a_token_or_a_session(text):
    """Each needs the deployment's secret."""
    assert read_state(DIGESTS, TOKEN, text) is None
    assert object_of(DIGESTS, "pay", text) is None
    assert read_session(DIGESTS, PLATE, text) is None


def test_tokens_of_one_kind_are_none_of_the_other():
    """A payment's page is no plate's."""
    assert PAYMENT == object_of(DIGESTS, "pay", TOKEN)
    assert object_of(DIGESTS, "qrp", TOKEN) is None
    assert PLATE == object_of(DIGESTS, "qrp", token_of(DIGESTS, PLATE))


def test_a_session_is_for_its_plate():
    """Another plate does not know it."""
    body = PAYMENT[4:]
    session = session_of(DIGESTS, PLATE, body)

    assert body == read_session(DIGESTS, PLATE, session)
    assert read_session(DIGESTS, an_id("qrp"), session) is None


def test_both_languages_have_the_same_words():
    """And the same places to fill."""
    (one, other) = WORDS.values()
    assert set(one) == set(other)
    assert [key for key in one if ("{" in one[key]) != ("{" in other[key])] == []
    assert len({frozenset(names) for names in WALLETS.values()}) == 1
