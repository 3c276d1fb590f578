"""The sandbox's bills: an invented call beside the JSON interface's, and the file it names.

No public description shows how UnionPay's bills are fetched. `POST /gateway/api/pay/billQuery` with
`billDate` (yyyyMMdd) answers with `filePath`, `fileHash` (SHA-256 in hex) and `fileSize`; respCode
39: the day is not over, 34: nothing happened on it. The file is the provider's: both interfaces'
orders are in it.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from payments.channels.sandbox.app import Call
from payments.channels.sandbox.bills import BillDesk, Files
from payments.channels.sandbox.books import Order
from payments.channels.unionpay import bill, codes
from payments.channels.unionpay.identity import Identity
from payments.channels.unionpay.sandbox_parts import Refusal, Reply, matching, need

FILE_PATH: Final = "/gateway/api/pay/billFile"
_DATE: Final = re.compile(r"[0-9]{8}")


class Bills:
    """The call and the download."""

    def __init__(self, identity: Identity, desk: BillDesk, files: Files) -> None:
        self._identity = identity
        self._desk = desk
        self._files = files

    def query(self, fields: Mapping[str, str]) -> Reply:
        """A day's bill. Raise Refusal."""
        need(fields, ("billDate",))
        day = int(matching(fields, "billDate", _DATE))
        told = {"billDate": fields["billDate"]}
        try:
            is_over = self._desk.is_over(day)
        except ValueError:
            raise Refusal(codes.BAD_FORMAT, "billDate is no day") from None
        if not is_over:
            return Reply(codes.OUT_OF_HOURS, "the day is not over", told)
        events = self._desk.events(bill.CHANNEL, day, self._whose)
        if not events:
            return Reply(codes.NO_SUCH_ORDER, "nothing happened on this day", told)
        head = bill.Head(self._identity.serv_prov_id, day)
        content = b"".join(bill.write(head, (event.line for event in events)))
        token = self._files.offer(content, f"{day}.txt")
        told |= {
            "filePath": f"{FILE_PATH}?token={token}",
            "fileHash": hashlib.sha256(content).hexdigest(),
            "fileSize": str(len(content)),
        }
        return Reply(codes.OK, fields=told)

    async def file(self, call: Call) -> web.Response:
        """A file that was offered."""
        file = self._files.take(call.request.query.get("token", ""))
        if file is None:
            raise web.HTTPNotFound
        return web.Response(body=file.content, headers={"Content-Type": "text/plain;charset=utf-8"})

    def _whose(self, order: Order) -> tuple[str, str]:
        return self._identity.serv_prov_id, self._identity.mer_id
