"""POST /callbacks/{channel}/{account}/{token}: for channels only, verified in their lane."""

from typing import Final

from actors.messages import HearCallback
from gateway.callbacks import CALLBACK_BYTES_MAX, HEADER_BYTES_MAX
from gateway.edge import Reply
from gateway.errors import BodyTooLarge, HeadersTooLarge
from gateway.routes import Call
from payments.errors import NotFound

NO_CONTENT: Final = 204


async def take(call: Call) -> Reply:
    """Pass a callback on as it came; the answer is the channel's own, worded by its connector."""
    channel, account, token = call.params
    callbacks = call.door.callbacks
    if not callbacks.knows(channel, account, token):
        raise NotFound("nothing is at this address")
    if len(call.body) > CALLBACK_BYTES_MAX:
        raise BodyTooLarge(f"the body is over {CALLBACK_BYTES_MAX} bytes")
    headers: dict[str, str] = {}
    for name, value in call.headers.items():
        lower = name.lower()
        # Two of one name are one text, which no signature fits.
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    if sum(map(len, headers.values())) > HEADER_BYTES_MAX:
        raise HeadersTooLarge(f"the headers are over {HEADER_BYTES_MAX} bytes")
    message = HearCallback(0, call.method, call.query, headers, call.body)
    answer = await callbacks.hear(account, message)
    # An empty 200 says to a channel what 204 says, whose head has no length.
    status = 200 if answer.status == NO_CONTENT else answer.status
    return call.door.reply(call, status, answer.body, answer.content_type)
