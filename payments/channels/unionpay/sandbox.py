"""UnionPay's sandbox: the aggregated JSON interface and ACP 5.1.0 over one set of books.

Every answer and notification is signed with the platform's key; ACP's carry its certificate.
`credentials` is all that a client needs.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from random import Random
from typing import Final

from aiohttp import web

from payments.channels.sandbox.app import (
    STATUSES,
    Call,
    Route,
    SandboxApp,
    SandboxSettings,
    Trouble,
    spoiled,
)
from payments.channels.sandbox.courier import Plan, Post
from payments.channels.sandbox.turns import MovableClock, News, Rules
from payments.channels.unionpay import codes, sandbox_acp, wire
from payments.channels.unionpay.identity import Identity
from payments.channels.unionpay.sandbox_acp import AcpDesk
from payments.channels.unionpay.sandbox_bills import FILE_PATH, Bills
from payments.channels.unionpay.sandbox_json import JsonDesk
from payments.channels.unionpay.sandbox_parts import Bench, Refusal, Reply, queried_number

PAY_PATH: Final = "/gateway/api/pay/"
BACK_PATH: Final = "/gateway/api/backTransReq.do"
QUERY_PATH: Final = "/gateway/api/queryTrans.do"

JSON_TYPE: Final = "application/json;charset=UTF-8"
FORM_TYPE: Final = "application/x-www-form-urlencoded;charset=UTF-8"
BARE_TYPE: Final = "text/html;charset=UTF-8"

PLAN: Final = Plan(delays_s=(60.0, 120.0, 240.0, 300.0), timeout_s=10.0)
"""Tries again after 1, 2, 4 and 5 minutes."""

HEARD: Final = b"success"
"""What a receiver of the JSON interface answers."""

ACP_HEARD: Final = frozenset({200, 302})

REFUND_DAYS_MAX: Final = 365

TROUBLE_CODES: Final = {
    Trouble.BUSY: (codes.BUSY, "busy"),
    Trouble.TOO_LARGE: (codes.BAD_FORMAT, "the message is too long"),
    Trouble.BAD_REQUEST: (codes.BAD_FORMAT, "the message cannot be read"),
}
UNSPOKEN: Final = frozenset({Trouble.NOT_FOUND, Trouble.METHOD})
"""Answered with a status alone."""

SPOKEN_OK: Final = frozenset({Trouble.ERROR, Trouble.BUSY})
"""Answered like any other call, with a respCode and status 200."""

_dialect: ContextVar[str] = ContextVar("dialect", default="")
"""The dialect of the callback that this task brings: what counts as heard depends on it."""


class UnionpaySandbox(SandboxApp):
    """One sandbox. Raise `BooksInUse`, `BooksDamaged`, `identity.Damaged`, OSError.

    `identity`: the folder's, or a new one, when none is given.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        clock: MovableClock,
        random: Random,
        identity: Identity | None = None,
    ) -> None:
        rules = Rules(
            order_number=queried_number,
            refund_number=queried_number,
            refund_days_max=REFUND_DAYS_MAX,
        )
        super().__init__(settings, clock, random, rules, PLAN)
        self.identity = identity or Identity.open(settings.folder, random, clock.real_ms())
        bench = Bench(self.engine, self.books, self.identity)
        self._json = JsonDesk(bench)
        self._acp = AcpDesk(bench)
        self._bills = Bills(self.identity, self.bills, self.files)
        self._json.operations["billQuery"] = self._bills.query

    def credentials(self) -> dict[str, str]:
        """What `tillway sandbox unionpay` prints."""
        return self.identity.credentials()

    def routes(self) -> list[Route]:
        paths = [
            Route("POST", PAY_PATH + name, self._pay_call, name) for name in self._json.operations
        ]
        return [
            *paths,
            Route("GET", FILE_PATH, self._bills.file, "billFile"),
            Route("POST", BACK_PATH, self._back_call, _acp_operation),
            Route("POST", QUERY_PATH, self._query_call, _acp_operation),
        ]

    # --- calls -----------------------------------------------------------------------------

    async def _pay_call(self, call: Call) -> web.Response:
        """One call of the JSON interface."""
        fields: dict[str, str] = {}
        try:
            fields = wire.decode_json(call.raw)
            self._json.admit(fields)
            reply = self._json.operations[call.request.path.removeprefix(PAY_PATH)](fields)
        except wire.Malformed as error:
            reply = Reply(codes.BAD_FORMAT, str(error))
        except Refusal as refusal:
            reply = Reply(refusal.code, refusal.message)
        return self._answer_json(fields, reply, unsigned=call.unsigned or reply.unsigned)

    async def _back_call(self, call: Call) -> web.Response:
        return self._acp_call(call, self._acp.operations)

    async def _query_call(self, call: Call) -> web.Response:
        return self._acp_call(call, self._acp.queries)

    def _acp_call(
        self, call: Call, operations: Mapping[str, sandbox_acp.Operation]
    ) -> web.Response:
        fields: dict[str, str] = {}
        try:
            fields = wire.decode_form(call.raw)
            self._acp.admit(fields)
            operation = operations.get(sandbox_acp.operation_of(fields))
            if operation is None:
                raise Refusal(codes.BAD_FORMAT, "txnType and txnSubType are not served here")
            reply = operation(fields)
        except wire.Malformed as error:
            reply = Reply(codes.BAD_FORMAT, str(error))
        except Refusal as refusal:
            reply = Reply(refusal.code, refusal.message)
        return self._answer_acp(fields, reply, unsigned=call.unsigned or reply.unsigned)

    async def trouble(self, trouble: Trouble, request: web.Request, raw: bytes) -> web.Response:
        if trouble in UNSPOKEN:
            return web.Response(status=STATUSES[trouble])
        is_acp = request.path in (BACK_PATH, QUERY_PATH)
        unknown = (codes.DOUBTFUL if is_acp else codes.ASK, "system error; query")
        reply = Reply(*TROUBLE_CODES.get(trouble, unknown))
        try:
            fields = (wire.decode_form if is_acp else wire.decode_json)(raw)
        except wire.Malformed:
            fields = {}
        answer = self._answer_acp if is_acp else self._answer_json
        made = answer(fields, reply, unsigned=False)
        if trouble not in SPOKEN_OK:
            made.set_status(STATUSES[trouble])
        return made

    # --- answers ---------------------------------------------------------------------------

    def _answer_json(
        self, fields: Mapping[str, str], reply: Reply, *, unsigned: bool
    ) -> web.Response:
        said = {"respCode": reply.code, "respMsg": reply.message}
        answer = {**self._json.echo(fields), **said, **reply.fields}
        self._sign(answer, wire.signed_text(answer), unsigned=unsigned)
        return web.Response(body=wire.encode_json(answer), headers={"Content-Type": JSON_TYPE})

    def _answer_acp(
        self, fields: Mapping[str, str], reply: Reply, *, unsigned: bool
    ) -> web.Response:
        said = {"respCode": reply.code, "respMsg": f"{reply.message}[{reply.code}]"}
        answer = {**self._acp.echo(fields), **said, **reply.fields}
        self._sign_acp(answer, unsigned=unsigned)
        return web.Response(body=wire.encode_bare(answer), headers={"Content-Type": BARE_TYPE})

    def _sign(self, answer: dict[str, str], text: bytes, *, unsigned: bool) -> None:
        signature = self.identity.sign(text)
        answer[wire.SIGNATURE] = wire.encode_signature(
            spoiled(signature) if unsigned else signature
        )

    def _sign_acp(self, answer: dict[str, str], *, unsigned: bool) -> None:
        answer["certId"] = self.identity.platform_cert_id
        answer["signPubKeyCert"] = self.identity.platform_pem
        self._sign(answer, wire.acp_signed_text(answer), unsigned=unsigned)

    # --- callbacks -------------------------------------------------------------------------

    async def post(self, news: News, attempt: int) -> Post | None:
        is_acp = news.order.merchant == sandbox_acp.MERCHANT
        _dialect.set(news.order.merchant)
        made = (self._acp if is_acp else self._json).notification(news)
        if made is None or news.notify_url is None:
            return None
        fields, unsigned = made
        if is_acp:
            self._sign_acp(fields, unsigned=unsigned)
            return Post(news.notify_url, {"Content-Type": FORM_TYPE}, wire.encode_form(fields))
        self._sign(fields, wire.signed_text(fields), unsigned=unsigned)
        return Post(news.notify_url, {"Content-Type": JSON_TYPE}, wire.encode_json(fields))

    def accepted(self, status: int, body: bytes) -> bool:
        """By the dialect that `post` made this task's callback in."""
        if _dialect.get() == sandbox_acp.MERCHANT:
            return status in ACP_HEARD
        return status == STATUS_OK and body.strip() == HEARD


STATUS_OK: Final = 200

ACP_NAMES: Final = {
    sandbox_acp.APPLY_QR: "applyQr",
    sandbox_acp.CONSUME: "consume",
    sandbox_acp.REVOKE: "revoke",
    sandbox_acp.REFUND: "acpRefund",
    sandbox_acp.REVERSE: "reverse",
    sandbox_acp.QUERY: "queryTrans",
}
"""For the fault settings; the JSON interface's calls go by the last part of their path."""


def _acp_operation(request: web.Request, raw: bytes) -> str:
    try:
        fields = wire.decode_form(raw)
    except wire.Malformed:
        return ""
    return ACP_NAMES.get(sandbox_acp.operation_of(fields), "")
