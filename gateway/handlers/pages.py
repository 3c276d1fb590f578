"""Pictures and pages for payers. A token in the path is the only key they have."""

from hmac import compare_digest
from typing import Final

from msgspec.json import decode as decode_json

from actors.messages import ReadOne
from gateway import qr
from gateway.edge import Reply
from gateway.routes import Call
from payments.errors import NotFound
from payments.ids import BODY_LENGTH, MalformedId, is_body, partition_of

MAC_LENGTH: Final = 16
PICTURE_CACHE: Final = "private, max-age=60"
"""What a code says never changes; that it can no longer be paid, the channel knows."""


def payment_of_token(call: Call) -> str:
    """The id of the payment whose page a token names. NotFound for one that was made up."""
    token = call.params[0]
    body, mac = token[:BODY_LENGTH], token[BODY_LENGTH:]
    identifier = f"pay_{body}"
    expected = call.door.digests.key("payer page", identifier).hex()[:MAC_LENGTH]
    if not is_body(body) or not compare_digest(mac.encode(), expected.encode()):
        raise NotFound("no such code")
    return identifier


async def code_svg(call: Call) -> Reply:
    """GET /p/{token}/code.svg: the code of a payment as a picture, while it can be paid."""
    identifier = payment_of_token(call)
    door = call.door
    try:
        partition = partition_of(identifier)
    except MalformedId:
        raise NotFound("no such code") from None
    command = ReadOne(0, (), "page", identifier)
    answer = await door.ask(door.shard(partition), command, 0)
    code = decode_json(answer.body).get("code")
    if code is None:
        raise NotFound("this code can no longer be paid")
    return door.reply(call, 200, qr.svg(code["payload"]), qr.SVG, cache=PICTURE_CACHE)
