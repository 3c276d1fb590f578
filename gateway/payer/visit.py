"""Who opens a payer's page: which wallet's browser, which language, which browser again.

Nothing here knows who the payer is; the wallet tells the channel, and only the channel.
"""

import re
from http.cookies import CookieError, SimpleCookie
from typing import Final

from msgspec import Struct
from multidict import CIMultiDictProxy

from payments.idempotency import Digests
from payments.ids import Entropy

COOKIE: Final = "tillway_page"
COOKIE_AGE_S: Final = 86_400
COOKIE_BYTES: Final = 16
CONSENT_BYTES: Final = 16
LANGUAGES_MAX: Final = 16
STATE_MAC_LENGTH: Final = 16
ACCOUNT_LENGTH_MAX: Final = 64

CHINESE: Final = "zh-CN"
ENGLISH: Final = "en"

_COOKIE_VALUE: Final = re.compile(r"[0-9a-f]{32}")
_ACCOUNT: Final = re.compile(r"[a-z0-9._-]{1,64}")
_APPS: Final = (
    # Alipay's and UnionPay's browsers may carry words of others: the more special first.
    ("alipay", re.compile(r"AlipayClient", re.IGNORECASE)),
    ("unionpay", re.compile(r"CloudPay|UnionPay/", re.IGNORECASE)),
    ("wechat", re.compile(r"MicroMessenger", re.IGNORECASE)),
)


def wallet_of_browser(user_agent: str) -> str | None:
    """The wallet whose app opened the page; None for any other browser."""
    for wallet, app in _APPS:
        if app.search(user_agent):
            return wallet
    return None


def language_of(accepted: str) -> str:
    """zh-CN or en, by Accept-Language; Chinese for whoever says nothing of either."""
    best, best_quality = CHINESE, 0.0
    for part in accepted.split(",")[:LANGUAGES_MAX]:
        tag, _, parameters = part.strip().partition(";")
        found = {"zh": CHINESE, "en": ENGLISH}.get(tag.strip().lower().split("-")[0])
        quality = _quality(parameters)
        if found is not None and quality > best_quality:
            best, best_quality = found, quality
    return best


def _quality(parameters: str) -> float:
    found = re.fullmatch(r"\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*", parameters)
    if found is not None:
        return float(found.group(1))
    return 0.0 if parameters.strip() else 1.0


class Visit(Struct, frozen=True):
    """One request of a payer's browser. `browser`: its cookie, "" for the first time."""

    wallet: str | None
    language: str
    browser: str
    wants_html: bool

    def consent(self, digests: Digests, browser: str) -> bytes | None:
        """What stands for this browser in the payment that it begins; None: nobody came before."""
        return digests.key("payer browser", browser)[:CONSENT_BYTES] if browser else None


def visit_of(headers: CIMultiDictProxy[str]) -> Visit:
    """Read a request's headers; what makes no sense says nothing."""
    accepts = headers.get("Accept", "")
    return Visit(
        wallet_of_browser(headers.get("User-Agent", "")),
        language_of(headers.get("Accept-Language", "")),
        _cookie(headers.get("Cookie", "")),
        "application/json" not in accepts,
    )


def _cookie(text: str) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(text)
    except CookieError:
        return ""
    found = jar.get(COOKIE)
    return found.value if found is not None and _COOKIE_VALUE.fullmatch(found.value) else ""


def new_browser(entropy: Entropy) -> str:
    """A name for a browser that comes for the first time."""
    return entropy.bytes(COOKIE_BYTES).hex()


def cookie_line(browser: str, *, secure: bool) -> bytes:
    """The header line that makes the browser remember."""
    tail = "; Secure" if secure else ""
    line = f"{COOKIE}={browser}; Path=/p/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax{tail}"
    return f"Set-Cookie: {line}\r\n".encode("ascii")


# --- What the wallet's OAuth carries there and back --------------------------------------------


def state_for(digests: Digests, token: str, wallet: str) -> str:
    """`wallet.mac`: the shard adds the account that it will ask. It proves that we asked."""
    mac = digests.key("payer state", f"{token} {wallet}").hex()[:STATE_MAC_LENGTH]
    return f"{wallet}.{mac}"


def read_state(digests: Digests, token: str, state: str) -> tuple[str, str] | None:
    """The wallet and the account of a state that we made for this page; None for any other."""
    wallet, _, rest = state.partition(".")
    mac, _, account = rest.partition(".")
    if f"{wallet}.{mac}" != state_for(digests, token, wallet) or not _ACCOUNT.fullmatch(account):
        return None
    return wallet, account
