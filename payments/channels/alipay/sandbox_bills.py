"""The sandbox's bills: `alipay.data.dataservice.bill.downloadurl.query`, and the file it names.

A day's bill exists as soon as the day is over in China; a day on which nothing happened has none.
Of the kinds of bills there is `trade`, day by day. What the documents leave open is said in
docs/BILLS.md.
"""

import re
from datetime import date
from typing import Any, Final

from aiohttp import web

from payments.bills.text import day_ms, next_date
from payments.channels.alipay import bill, render
from payments.channels.alipay.asking import TEXT_MAX, Invalid, read_text
from payments.channels.alipay.checks import Request
from payments.channels.alipay.render import BUYER_LOGON
from payments.channels.sandbox.app import Call
from payments.channels.sandbox.bills import BillDesk, Event, Files
from payments.channels.sandbox.books import Order

METHOD: Final = "alipay.data.dataservice.bill.downloadurl.query"
FILE_PATH: Final = "/billdownload"
KINDS: Final = ("trade", "signcustomer")
INVALID: Final = "isv.invalid-arguments"
NOT_EXIST: Final = "isp.bill_not_exist"
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")


class Bills:
    """The method and the download."""

    def __init__(self, desk: BillDesk, files: Files) -> None:
        self._desk = desk
        self._files = files

    def answer(self, request: Request, host: str) -> dict[str, Any]:
        """Where the asked day's file is. `host`: the address that the caller knows us by."""
        try:
            day = _day(request)
        except Invalid as invalid:
            return render.failed(invalid.sub_code, invalid.sub_msg)
        events: list[Event] = []
        if day is not None and self._desk.is_over(day):
            merchant, seller = request.merchant, request.seller_id

            def whose(order: Order) -> tuple[str, str] | None:
                return (seller, "") if order.merchant == merchant else None

            events = self._desk.events(bill.CHANNEL, day, whose)
        if day is None or not events:
            return render.failed(NOT_EXIST, "账单不存在")
        told = [(event.line, _details(event)) for event in events]
        # The file of a day is the same whenever it is asked for.
        content = bill.write(request.seller_id, day, told, day_ms(next_date(day)))
        token = self._files.offer(content, f"{request.seller_id}_{day}.csv.zip")
        return render.done(bill_download_url=f"{host}{FILE_PATH}?token={token}")

    async def file(self, call: Call) -> web.Response:
        """A file that was offered."""
        file = self._files.take(call.request.query.get("token", ""))
        if file is None:
            raise web.HTTPNotFound
        disposition = f'attachment; filename="{file.name}"'
        headers = {"Content-Type": "application/zip", "Content-Disposition": disposition}
        return web.Response(body=file.content, headers=headers)


def _day(request: Request) -> int | None:
    """The day that is asked for, yyyymmdd; None: a bill of a kind that is never made here."""
    kind = read_text(request.biz, "bill_type", TEXT_MAX)
    text = read_text(request.biz, "bill_date", TEXT_MAX)
    try:
        if kind not in KINDS or not (_DAY.fullmatch(text) or _MONTH.fullmatch(text)):
            raise ValueError("neither a day nor a month")
        day = date.fromisoformat(text if _DAY.fullmatch(text) else f"{text}-01")
        next_date(int(f"{day:%Y%m%d}"))
    except ValueError:
        raise Invalid("参数无效: bill_type, bill_date", INVALID) from None
    return int(text.replace("-", "")) if kind == "trade" and _DAY.fullmatch(text) else None


def _details(event: Event) -> bill.Details:
    order = event.order
    return bill.Details(
        subject=order.extra["subject"],
        created_ms=order.created_ms,
        buyer=BUYER_LOGON,
    )
