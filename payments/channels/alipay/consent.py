"""Consent in Alipay's sandbox: a payer tells a shop his id, a merchant lets an application act.

The pages agree by themselves and send the browser back with a code that is good once, for a while;
the application exchanges it at the gateway for what was agreed to.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from msgspec import Struct

from payments.channels.alipay import pages, render
from payments.channels.alipay.checks import Refusal, Request
from payments.channels.alipay.identity import Identity
from payments.channels.alipay.trades import Reply
from payments.channels.alipay.units import china_time
from payments.channels.sandbox.app import Call
from payments.clock import Clock

OAUTH: Final = "alipay.system.oauth.token"
APP_AUTH: Final = "alipay.open.auth.token.app"
APP_AUTH_QUERY: Final = "alipay.open.auth.token.app.query"

CODES_MAX: Final = 10_000
"""Most codes that wait to be exchanged; the oldest makes room."""

CODE_LIFE_MS: Final = 180_000
TOKEN_LIFE_S: Final = 300
REFRESH_LIFE_S: Final = 600
APP_AUTH_LIFE_S: Final = 31_536_000

SCOPES: Final = frozenset(("auth_base", "auth_user"))

_ID: Final = re.compile(r"[0-9]{16}")


class Grant(Struct, frozen=True):
    """What a code stands for: `kind` payer or merchant, and whose number. Real ms."""

    kind: str
    subject: str
    until_ms: int


class Consent:
    """Codes that were handed out and not yet exchanged; a restart ends them.

    `methods`: the gateway's methods that exchange them.
    """

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock
        self._grants: OrderedDict[str, Grant] = OrderedDict()
        self._count = 0
        self.methods: dict[str, Callable[[Request], Reply]] = {
            OAUTH: self._payer_token,
            APP_AUTH: self._app_token,
            APP_AUTH_QUERY: self._app_token_query,
        }

    # --- the pages -----------------------------------------------------------------------------

    async def payer(self, call: Call) -> web.Response:
        """The payer agrees; `buyer_id` (ours, for tests) chooses who it is."""
        query = call.request.query
        buyer = query.get("buyer_id") or "2088" + self._identity.digits("buyer ", 12)
        scope = query.get("scope", "")
        if not set(scope.split(",")) <= SCOPES or _ID.fullmatch(buyer) is None:
            return pages.shown(pages.trouble("invalid-scope", "scope"))
        answered = {"source": "alipay_wallet", "scope": scope}
        return self._agreed(call.request, "payer", buyer, "auth_code", answered)

    async def merchant(self, call: Call) -> web.Response:
        """Another merchant agrees; `auth_app_id` (ours, for tests) chooses which."""
        query = call.request.query
        merchant = query.get("auth_app_id") or "2021" + self._identity.digits("merchant", 12)
        if _ID.fullmatch(merchant) is None:
            return pages.shown(pages.trouble("invalid-app-id", "auth_app_id"))
        return self._agreed(call.request, "merchant", merchant, "app_auth_code", {})

    def _agreed(
        self, request: web.Request, kind: str, subject: str, name: str, answered: dict[str, str]
    ) -> web.Response:
        query, app_id = request.query, self._identity.app_id
        if query.get("app_id") != app_id:
            return pages.shown(pages.trouble("invalid-app-id", "app_id"))
        answered = {"app_id": app_id, **answered, name: self._give(kind, subject)}
        if "state" in query:
            answered["state"] = query["state"]
        try:
            return pages.sent(pages.with_query(query.get("redirect_uri", ""), answered))
        except ValueError:
            return pages.shown(pages.trouble("invalid-redirect-uri", "redirect_uri"))

    # --- codes ---------------------------------------------------------------------------------

    def _give(self, kind: str, subject: str) -> str:
        now_ms = self._clock.real_ms()
        self._count += 1
        code = self._identity.digest(f"code {now_ms} {self._count} {subject}")[:32]
        self._grants[code] = Grant(kind, subject, now_ms + CODE_LIFE_MS)
        if len(self._grants) > CODES_MAX:
            self._grants.popitem(last=False)
        return code

    def _take(self, kind: str, grant_type: object, code: object) -> str:
        """Whom a code stands for, once. Raise Refusal."""
        if grant_type != "authorization_code":
            raise Refusal("40002", "isv.grant-type-invalid", "grant_type参数不正确")
        grant = self._grants.pop(code, None) if isinstance(code, str) else None
        if grant is None or grant.kind != kind or grant.until_ms < self._clock.real_ms():
            raise Refusal("40002", "isv.code-invalid", "授权码code无效")
        return grant.subject

    # --- the gateway's methods -----------------------------------------------------------------

    def _payer_token(self, request: Request) -> Reply:
        """The payer's id for a code. Its parameters are no `biz_content`."""
        params, now_ms = request.params, self._clock.real_ms()
        buyer = self._take("payer", params.get("grant_type"), params.get("code"))
        token = self._identity.digest(f"access {buyer} {now_ms}")[:34]
        return Reply(
            {
                "user_id": buyer,
                "open_id": self._identity.digest(f"open {buyer}")[:48],
                "access_token": f"authbs{token}",
                "refresh_token": f"refrbs{token[::-1]}",
                "expires_in": TOKEN_LIFE_S,
                "re_expires_in": REFRESH_LIFE_S,
                "auth_start": china_time(now_ms),
            }
        )

    def _app_token(self, request: Request) -> Reply:
        biz = request.biz
        merchant = self._take("merchant", biz.get("grant_type"), biz.get("code"))
        token = self._identity.app_auth_token(merchant, self._clock.real_ms())
        return Reply(self._permission(merchant, token))

    def _app_token_query(self, request: Request) -> Reply:
        token = request.biz.get("app_auth_token")
        merchant = self._identity.auth_app_of(token) if isinstance(token, str) else None
        if merchant is None:
            raise Refusal("20001", "aop.invalid-app-auth-token", "无效的应用授权令牌")
        return Reply({**self._permission(merchant, str(token)), "status": "valid"})

    def _permission(self, merchant: str, token: str) -> dict[str, Any]:
        return render.done(
            app_auth_token=token,
            app_refresh_token=token[::-1],
            auth_app_id=merchant,
            user_id=self._identity.seller_of(merchant),
            expires_in=APP_AUTH_LIFE_S,
            re_expires_in=APP_AUTH_LIFE_S,
        )
