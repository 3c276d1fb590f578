"""Pictures and pages for payers. A token in the path is the only key they have."""

from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec.json import Decoder, encode

from actors.messages import PageAsk, ReadOne
from actors.pages import PageView
from gateway import qr
from gateway.edge import Reply
from gateway.handlers.plates import picture, plate_of, show_plate, start
from gateway.payer import html
from gateway.payer.address import payer_address
from gateway.payer.show import form_targets, message_page, payment_page
from gateway.payer.tokens import PAYMENT, object_of, token_of
from gateway.payer.visit import (
    CONSENT_BYTES,
    Visit,
    cookie_line,
    new_browser,
    read_state,
    state_for,
    visit_of,
)
from gateway.routes import Call
from payments.errors import IdempotencyMismatch, InvalidField, NotFound, PaymentError
from payments.ids import Entropy, partition_of
from payments.reference import Plate, PlateStatus

PICTURE_CACHE: Final = "private, max-age=60"
"""What a code says never changes; that it can no longer be paid, the channel knows."""

SHEET_WAIT_MS: Final = 5_000
"""How long a page that just began its attempt waits for the wallet's parameters."""

PATIENCE_S: Final = 10.0
FIELDS_MAX: Final = 16
CODE_NAMES: Final = ("code", "auth_code", "userAuthCode")
"""What WeChat, Alipay and UnionPay call the code that names the payer."""

_view: Final = Decoder(PageView).decode


def payment_of_token(call: Call) -> str:
    """The id of the payment whose page a token names. NotFound for one that was made up."""
    found = object_of(call.door.digests, PAYMENT, call.params[0])
    if found is None:
        raise NotFound("no such code")
    return found


async def code_svg(call: Call) -> Reply:
    """GET /p/{token}/code.svg: a payment's code while it can be paid, or a plate's."""
    plate = plate_of(call)
    if plate is not None:
        return picture(call, plate)
    identifier = payment_of_token(call)
    door = call.door
    command = ReadOne(0, (), "page", identifier)
    answer = await door.ask(door.shard(partition_of(identifier)), command, 0)
    code = Decoder(dict[str, Any]).decode(answer.body).get("code")
    if code is None:
        raise NotFound("this code can no longer be paid")
    return door.reply(call, 200, qr.svg(code["payload"]), qr.SVG, cache=PICTURE_CACHE)


def payer_ip(call: Call) -> str | None:
    """Where the payer is, as far as the proxies say that the settings trust."""
    name = call.door.settings.http.forwarded
    return payer_address(call.peer, call.headers.getall(name, ()), call.door.proxies, name)


# --- The page of a payment ------------------------------------------------------------------


async def ask_page(call: Call, identifier: str, op: str, **more: Any) -> PageView:
    """One question to the shard that has the payment."""
    door = call.door
    command = PageAsk(0, identifier, op, **more)
    answer = await door.ask(door.shard(partition_of(identifier)), command, PATIENCE_S)
    return _view(answer.body)


async def show(call: Call) -> Reply:
    """GET /p/{token}: the payer's page; a return from the wallet's OAuth begins the attempt."""
    visit = visit_of(call.headers)
    try:
        plate = plate_of(call)
        if plate is not None:
            return show_plate(call, visit, plate)
        identifier = payment_of_token(call)
        query = dict(parse_qsl(call.query, max_num_fields=FIELDS_MAX))
        code = next((query[name] for name in CODE_NAMES if query.get(name)), "")
        if code:
            return await _returned(call, visit, identifier, code, query.get("state", ""))
        consent = visit.consent(call.door.digests, visit.browser)
        return _page(call, visit, await ask_page(call, identifier, "view", consent=consent))
    except (PaymentError, ValueError) as error:
        return refused(call, visit, error)


async def _returned(call: Call, visit: Visit, identifier: str, code: str, state: str) -> Reply:
    """The wallet sent its payer back with a code: the attempt begins, once."""
    digests = call.door.digests
    found = read_state(digests, call.params[0], state)
    if found is None:
        return _redirect(call, f"/p/{call.params[0]}")  # Not ours: as if nobody had come.
    wallet, account = found
    # A browser that takes no cookies is known by its code, for as long as this page stands.
    consent = visit.consent(digests, visit.browser)
    if consent is None:
        consent = digests.key("payer code", code)[:CONSENT_BYTES]
    view = await ask_page(
        call,
        identifier,
        "choose",
        wallet=wallet,
        text=code,
        consent=consent,
        account=account,
        wait_ms=SHEET_WAIT_MS,
        payer_ip=payer_ip(call),
    )
    if visit.browser and view.trouble is None:
        return _redirect(call, f"/p/{call.params[0]}")  # The code is used: out of the address.
    return _page(call, visit, view)


async def status(call: Call) -> Reply:
    """GET /p/{token}/status: how the payment stands, for the page's own script."""
    visit = visit_of(call.headers)
    consent = visit.consent(call.door.digests, visit.browser)
    view = await ask_page(call, payment_of_token(call), "view", consent=consent)
    return _json(call, view)


async def pay(call: Call) -> Reply:
    """POST /p/{token}/pay: to the wallet's OAuth, or where none is needed, to the attempt."""
    visit = visit_of(call.headers)
    try:
        plate = plate_of(call)
        if plate is not None:
            return await _pay_at_plate(call, visit, plate)
        return await pay_for(call, visit, payment_of_token(call), form_of(call))
    except (PaymentError, ValueError) as error:
        return refused(call, visit, error)


async def _pay_at_plate(call: Call, visit: Visit, plate: Plate) -> Reply:
    """Make the payment; in a wallet's browser its payer goes on at once, else to its page."""
    form = form_of(call)
    if plate.status is not PlateStatus.ACTIVE:
        return show_plate(call, visit, plate)
    try:
        identifier = await start(call, plate, form)
    except (InvalidField, IdempotencyMismatch) as error:
        if not visit.wants_html:
            raise
        trouble = "bad_amount" if error.param == "amount" else "again_session"
        return show_plate(call, visit, plate, trouble, form.get("amount", ""))
    view = await ask_page(call, identifier, "view")
    if view.is_page and view.status == "requires_payer" and (visit.wallet or form.get("wallet")):
        return await pay_for(call, visit, identifier, form)
    return _after(call, visit, view, token_of(call.door.digests, identifier))


def form_of(call: Call) -> dict[str, str]:
    """What a page's form sent: as browsers do, or as JSON. Raise InvalidField."""
    if call.headers.get("Content-Type", "").startswith("application/json"):
        value = Decoder(dict[str, str | int]).decode(call.body or b"{}")
        # A program says fen, as everywhere in the API; a person keys yuan in.
        return {
            "amount_minor" if name == "amount" and type(each) is int else name: str(each)
            for name, each in list(value.items())[:FIELDS_MAX]
        }
    try:
        text = call.body.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidField("a form is percent-encoded") from None
    return dict(parse_qsl(text, max_num_fields=FIELDS_MAX))


async def pay_for(call: Call, visit: Visit, identifier: str, form: dict[str, str]) -> Reply:
    """Let the payer of a payment pay; also where a plate has just made it."""
    door = call.door
    token = token_of(door.digests, identifier)
    act = form.get("act", "")
    if act:
        view = await ask_page(call, identifier, "act", text=act)
        return _after(call, visit, view, token)
    # In test mode a form may say which wallet's phone it plays; else the browser says.
    chosen = "" if door.livemode else form.get("wallet", "")
    wallet = chosen or visit.wallet
    browser = visit.browser or new_browser(Entropy())
    if wallet is None:
        view = await ask_page(call, identifier, "view")
        view.trouble = view.trouble or ("over" if view.status != "requires_payer" else None)
        if view.is_page:
            return _after(call, visit, view, token)
    view = await ask_page(
        call,
        identifier,
        "authorize",
        wallet=wallet,
        text=f"{door.options.public_url}/p/{token}",
        state=state_for(door.digests, token, wallet or ""),
        consent=visit.consent(door.digests, browser),
        wait_ms=SHEET_WAIT_MS,
        payer_ip=payer_ip(call),
    )
    line = cookie_line(browser, secure=door.options.public_url.startswith("https:"))
    if view.authorize_url is not None and visit.wants_html:
        return _redirect(call, view.authorize_url, line)
    return _after(call, visit, view, token, line)


def _after(call: Call, visit: Visit, view: PageView, token: str, line: bytes = b"") -> Reply:
    """What a browser sees after its POST: the page anew, or why it came to nothing."""
    if not visit.wants_html:
        return _json(call, view, line)
    if view.trouble is not None:
        return _page(call, visit, view)
    return _redirect(call, f"/p/{token}", line)


# --- Answers --------------------------------------------------------------------------------


def _page(call: Call, visit: Visit, view: PageView) -> Reply:
    if not visit.wants_html:
        return _json(call, view)
    door = call.door
    merchant = door.reference.merchant(view.merchant)
    store = door.reference.store(view.store) if view.store else None
    names = [each.name for each in (merchant, store) if each is not None]
    token = token_of(door.digests, view.id)
    shown = payment_page(view, visit, " · ".join(names), token, livemode=door.livemode)
    extra = html.header_lines(form_targets(door.settings))
    if not visit.browser:
        secure = door.options.public_url.startswith("https:")
        extra += cookie_line(new_browser(Entropy()), secure=secure)
    return door.reply(call, 200, html.render(shown), html.HTML, extra)


def _json(call: Call, view: PageView, line: bytes = b"") -> Reply:
    """For programs: the page without the merchant's inner matters."""
    return call.door.reply(call, 200, encode(view), extra=line)


def _redirect(call: Call, where: str, line: bytes = b"") -> Reply:
    """On to another page, by GET. What the wallet's channel said is no header line unchecked."""
    if not where.isascii() or not where.isprintable() or " " in where:
        raise InvalidField("not an address")
    return call.door.reply(
        call, 303, b"", html.HTML, b"Location: " + where.encode("ascii") + b"\r\n" + line
    )


def refused(call: Call, visit: Visit, error: PaymentError | ValueError) -> Reply:
    """An error as a page, where a person reads it; as a problem for programs."""
    problem = error if isinstance(error, PaymentError) else InvalidField("not a form")
    if not visit.wants_html:
        raise problem
    status_, shown = message_page(problem, visit, livemode=call.door.livemode)
    extra = html.header_lines(form_targets(call.door.settings))
    return call.door.reply(call, status_, html.render(shown), html.HTML, extra)
