"""Static plates (码牌): their records over the API, and the page behind each.

A plate's page asks for the amount. Each showing is a session; the payment that it makes has its
order number and its idempotency from it: a second tap, or a page sent twice, makes no second one.
"""

import re
import unicodedata
from typing import Any, Final

from msgspec.json import Decoder, encode

from actors.messages import Pay
from gateway import qr
from gateway.decode import decode
from gateway.edge import Reply
from gateway.handlers.payments import answer_lines
from gateway.handlers.reference import ask, list_words
from gateway.headers import check_content_type
from gateway.lists import PLATE_FILTERS, no_parameters
from gateway.payer import html
from gateway.payer.show import form_targets, plate_page
from gateway.payer.tokens import PLATE, object_of, read_session, session_of, token_of
from gateway.payer.visit import Visit
from gateway.routes import Call
from payments.directory import NewPlate, PlateChange
from payments.errors import InvalidField, Overloaded
from payments.ids import time_ms_of
from payments.money import AMOUNT_MAX
from payments.reference import Merchant, Plate, PlateStatus

ENTRY: Final = "static"
SESSION_AGE_MS: Final = 3_600_000
"""A page that stood open for longer is shown anew: nobody remembers what they keyed in."""

PATIENCE_S: Final = 10.0
PICTURE_CACHE: Final = "private, max-age=86400"
GONE: Final = 410
_YUAN: Final = re.compile(r"([0-9]{1,8})(?:\.([0-9]{1,2}))?", re.ASCII)
_object: Final = Decoder(dict[str, Any]).decode


# --- The API ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """POST /v1/qr_plates"""
    return await _change(call, "plates.create", NewPlate)


async def update(call: Call) -> Reply:
    """POST /v1/qr_plates/{id}: its label, or whether it takes payments."""
    return await _change(call, "plates.update", PlateChange)


async def _change(call: Call, op: str, kind: type[NewPlate] | type[PlateChange]) -> Reply:
    no_parameters(call.query)
    check_content_type(call.headers, call.body)
    decode(kind, call.body)
    answer = await ask(call, op, call.body or b"{}")
    body = encode(_dressed(call, _object(answer.body)))
    return call.door.reply(call, answer.status, body, extra=answer_lines(answer))


async def read(call: Call) -> Reply:
    """GET /v1/qr_plates/{id}"""
    no_parameters(call.query)
    answer = await ask(call, "plates.get", b"")
    return call.door.reply(call, answer.status, encode(_dressed(call, _object(answer.body))))


async def list_plates(call: Call) -> Reply:
    """GET /v1/qr_plates"""
    answer = await ask(call, "plates.list", b"", list_words(call, PLATE_FILTERS))
    page = _object(answer.body)
    page["data"] = [_dressed(call, plate) for plate in page["data"]]
    return call.door.reply(call, answer.status, encode(page))


def _dressed(call: Call, plate: dict[str, Any]) -> dict[str, Any]:
    """A plate with its addresses: what the code says, and its picture."""
    url = _url(call, plate["id"])
    return {**plate, "url": url, "payload": url, "image_svg_url": f"{url}/code.svg"}


def _url(call: Call, identifier: str) -> str:
    door = call.door
    return f"{door.options.public_url}/p/{token_of(door.digests, identifier)}"


# --- The page -----------------------------------------------------------------------------------


def plate_of(call: Call) -> Plate | None:
    """The plate whose page a token names; None for a token of anything else."""
    identifier = object_of(call.door.digests, PLATE, call.params[0])
    return None if identifier is None else call.door.reference.plate(identifier)


def picture(call: Call, plate: Plate) -> Reply:
    """The code that is printed on the plate."""
    drawn = qr.svg(_url(call, plate.id))
    return call.door.reply(call, 200, drawn, qr.SVG, cache=PICTURE_CACHE)


def show_plate(call: Call, visit: Visit, plate: Plate, trouble: str = "", typed: str = "") -> Reply:
    """The form for the amount, in a session of its own."""
    door = call.door
    merchant = door.reference.merchant(plate.merchant)
    store = door.reference.store(plate.store)
    names = [each.name for each in (merchant, store) if each is not None]
    is_open = plate.status is PlateStatus.ACTIVE
    body = door.mint.body(door.clock.now_ms(), 0)
    shown = plate_page(
        visit,
        " · ".join(names),
        plate.label,
        call.params[0],
        session_of(door.digests, plate.id, body),
        trouble=trouble,
        typed=typed,
        is_open=is_open,
        livemode=door.livemode,
    )
    extra = html.header_lines(form_targets(door.settings))
    return door.reply(call, 200 if is_open else GONE, html.render(shown), html.HTML, extra)


async def start(call: Call, plate: Plate, form: dict[str, str]) -> str:
    """Make the payment that a payer of a plate keyed in, or find it again. Its id.

    Raise InvalidField for an amount or a session that is none, and what a shard refuses.
    """
    door = call.door
    session = read_session(door.digests, plate.id, form.get("session", ""))
    if session is None or not 0 <= door.clock.now_ms() - time_ms_of(session) <= SESSION_AGE_MS:
        raise InvalidField("the page is too old", param="session")
    amount = amount_of(form)
    merchant = door.reference.merchant(plate.merchant)
    if merchant is None:
        raise Overloaded("the merchant is not known here yet", retry_after_s=1)
    command = _payment(call, plate, merchant, session, amount)
    answer = await door.ask(door.shard(merchant.partition), command, PATIENCE_S)
    return str(_object(answer.body)["id"])


def _payment(call: Call, plate: Plate, merchant: Merchant, session: str, amount: int) -> Pay:
    door = call.door
    digests = door.digests
    order_no = f"P{session}"
    return Pay(
        0,
        door.mint.new("pay", door.clock.now_ms(), merchant.partition),
        merchant.id,
        digests.key(merchant.id, f"plate {plate.id} {session}"),
        digests.fingerprint("POST", f"/p/{plate.id}/pay", str(amount).encode()),
        0,
        0,
        order_no,
        amount,
        "cny",
        "cashier",
        0,
        store=plate.store,
        subject=plate.label,
        metadata={"qr_plate": plate.id},
        order_hash=digests.order(merchant.id, order_no),
        entry=ENTRY,
    )


def amount_of(form: dict[str, str]) -> int:
    """The amount in fen: yuan as people key them in, or fen where a program says so."""
    if "amount_minor" in form:
        text = form["amount_minor"]
        minor = int(text) if text.isascii() and text.isdigit() else 0
    else:
        typed = unicodedata.normalize("NFKC", form.get("amount", "")).strip()
        found = _YUAN.fullmatch(typed.replace("。", "."))
        minor = 0
        if found is not None:
            minor = int(found.group(1)) * 100 + int((found.group(2) or "").ljust(2, "0"))
    if not 1 <= minor <= AMOUNT_MAX:
        raise InvalidField("this is not an amount", param="amount")
    return minor
