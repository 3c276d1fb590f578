"""Pictures and pages for payers. A token in the path is the only key they have."""

import io
from typing import Final

import segno
from msgspec.json import decode as decode_json

from actors.messages import ReadOne
from gateway.edge import Reply
from gateway.routes import Call
from payments.errors import NotFound
from payments.ids import BODY_LENGTH, MalformedId, is_body, partition_of

MAC_LENGTH: Final = 16
SCALE: Final = 6
SVG: Final = "image/svg+xml"


async def code_svg(call: Call) -> Reply:
    """GET /p/{token}/code.svg: the code of a payment as a picture, while it can be paid."""
    token = call.params[0]
    body, mac = token[:BODY_LENGTH], token[BODY_LENGTH:]
    identifier = f"pay_{body}"
    door = call.door
    if not is_body(body) or mac != door.digests.key("payer page", identifier).hex()[:MAC_LENGTH]:
        raise NotFound("no such code")
    try:
        partition = partition_of(identifier)
    except MalformedId:
        raise NotFound("no such code") from None
    command = ReadOne(0, (), "page", identifier)
    answer = await door.ask(door.shard(partition), command, 0)
    code = decode_json(answer.body).get("code")
    if code is None:
        raise NotFound("this code can no longer be paid")
    picture = io.BytesIO()
    segno.make(code["payload"], micro=False, error="m").save(
        picture, kind="svg", scale=SCALE, xmldecl=False, svgns=True, nl=False
    )
    return door.reply(call, 200, picture.getvalue(), SVG)
