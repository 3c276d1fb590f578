"""The sandbox's bills: what was asked for, whether it exists yet, and the file.

Source: WeChat Pay API v3, "bills". A day's bill exists from 10:00 of the next day on, for three
months; a day on which nothing happened has none. The SHA-1 that is told is of the text, also where
the file is packed. What the documents leave open is said in docs/BILLS.md.
"""

import gzip
import hashlib
import re
from datetime import date, timedelta
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from payments.bills.lines import BillKind, BillState
from payments.bills.shares import ShareLine
from payments.channels.sandbox.bills import BillDesk, Event, Files
from payments.channels.sandbox.books import Books, Order
from payments.channels.wechat import bill, funds, sharing_bill
from payments.channels.wechat import sandbox_sharing_books as sharing
from payments.channels.wechat.errors import Refusal, wrong_field
from payments.channels.wechat.sandbox_door import Caller
from payments.channels.wechat.sandbox_keys import Account
from payments.channels.wechat.sandbox_view import BANK, TRADE_TYPES

READY_HOUR: Final = 10
KEPT_DAYS: Final = 92
"""Three months."""

DOWNLOAD_PATH: Final = "/v3/billdownload/file"
ACCOUNTS: Final = ("BASIC", "OPERATION", "FEES")
TYPES: Final = tuple(kind.value for kind in bill.BillType)
GZIP: Final = "GZIP"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Bills:
    """Answers of the bills' calls. `share_ms`: how long dividing takes."""

    def __init__(
        self, account: Account, desk: BillDesk, files: Files, books: Books, share_ms: int
    ) -> None:
        self._books = books
        self._share_ms = share_ms
        self._account = account
        self._desk = desk
        self._files = files

    def trade(self, request: web.Request, caller: Caller) -> dict[str, str]:
        """A day's payments and refunds. Raise Refusal."""
        day = self._day(request)
        kind = bill.BillType(_one_of(request, "bill_type", TYPES, "ALL"))
        events = self._desk.events(bill.CHANNEL, day, self._whose(request, caller))
        told = [(event.line, self._details(event)) for event in events]
        unwanted = {bill.BillType.SUCCESS: BillKind.REFUND, bill.BillType.REFUND: BillKind.PAYMENT}
        if all(line.kind is unwanted.get(kind) for line, _ in told):
            raise Refusal("NO_STATEMENT_EXIST")
        return self._offer(request, b"".join(bill.write(kind, told)), f"{day}_{kind}")

    def movements(self, request: web.Request, caller: Caller) -> dict[str, str]:
        """A day's changes of the direct merchant's own account: a partner's money is not his.
        Raise Refusal.
        """
        day = self._day(request)
        account = _one_of(request, "account_type", ACCOUNTS, "BASIC")
        lines: list[funds.FundLine] = []
        if account == "BASIC" and not caller.is_partner:
            whose = self._whose(request, caller)
            events = self._desk.events(bill.CHANNEL, day, whose, since=0)
            lines = _movements(events, day)
        if not lines:
            raise Refusal("NO_STATEMENT_EXIST")
        return self._offer(request, b"".join(funds.write(lines)), f"{day}_{account}")

    def shares(self, request: web.Request, caller: Caller) -> dict[str, str]:
        """What receivers got and gave back on a day. Raise Refusal."""
        day, whose = self._day(request), self._whose(request, caller)
        found: list[ShareLine] = []
        for order in self._books:
            parties = whose(order) if order.charges else None
            if parties is not None:
                found += sharing.lines(order, self._share_ms, *parties)
        told = [line for line in found if line.bill_date == day]
        if not told:
            raise Refusal("NO_STATEMENT_EXIST")
        told.sort(key=lambda line: line.at_ms)
        return self._offer(request, b"".join(sharing_bill.write(told)), f"{day}_SHARED")

    def file(self, request: web.Request) -> web.Response:
        """A file that was offered. Raise Refusal."""
        file = self._files.take(request.query.get("token", ""))
        if file is None:
            raise Refusal("PARAM_ERROR", "下载链接无效或已过期")
        kind = "application/x-gzip" if file.name.endswith(".gz") else "text/plain;charset=utf-8"
        return web.Response(body=file.content, headers={"Content-Type": kind})

    def _day(self, request: web.Request) -> int:
        """The day that is asked for, yyyymmdd, if it has a bill by now. Raise Refusal."""
        text = request.query.get("bill_date", "")
        try:
            if _DATE.fullmatch(text) is None:
                raise ValueError("not of this form")
            asked = date.fromisoformat(text)
        except ValueError:
            raise wrong_field("/bill_date", text, "must be yyyy-MM-dd", "query") from None
        day, today = int(text.replace("-", "")), self._desk.today()
        oldest = date(today // 10_000, today // 100 % 100, today % 100) - timedelta(KEPT_DAYS)
        if day >= today:
            raise Refusal("INVALID_REQUEST", "账单日期不能晚于昨天")
        if asked < oldest:
            raise Refusal("INVALID_REQUEST", "仅支持三个月内的账单下载申请")
        if not self._desk.is_over(day, READY_HOUR):
            raise Refusal("STATEMENT_CREATING")
        return day

    def _whose(self, request: web.Request, caller: Caller) -> "_Whose":
        account, sub_mchid = self._account, request.query.get("sub_mchid")
        if sub_mchid is not None and not caller.is_partner:
            raise Refusal("INVALID_REQUEST", "直连商户不能传入特约商户号")
        if sub_mchid is not None and sub_mchid not in account.sub_mchids:
            raise Refusal("MCH_NOT_EXISTS", "特约商户号不存在")
        if not caller.is_partner:
            return _Whose(account.mchid, {account.mchid: ""})
        subs = account.sub_mchids if sub_mchid is None else (sub_mchid,)
        return _Whose(account.sp_mchid, {sub: sub for sub in subs})

    def _details(self, event: Event) -> bill.Details:
        order = event.order
        identity, extra = order.extra["identity"], order.extra
        return bill.Details(
            appid=identity.get("appid") or identity.get("sp_appid", ""),
            device=extra.get("device_id", ""),
            payer=next(iter(extra.get("payer", {}).values()), ""),
            trade_type=TRADE_TYPES[order.way],
            bank=BANK,
            goods=extra.get("description", ""),
            attach=extra.get("attach", ""),
            rate_ppm=self._desk.fee_ppm,
            paid_ms=order.paid_ms,
        )

    def _offer(self, request: web.Request, text: bytes, name: str) -> dict[str, str]:
        packing = _one_of(request, "tar_type", (GZIP,), "")
        content = gzip.compress(text, mtime=0) if packing else text
        token = self._files.offer(content, f"{name}.csv{'.gz' if packing else ''}")
        host = f"{request.scheme}://{request.host}"
        return {
            "hash_type": "SHA1",
            "hash_value": hashlib.sha1(text, usedforsecurity=False).hexdigest(),
            "download_url": f"{host}{DOWNLOAD_PATH}?{urlencode({'token': token})}",
        }


class _Whose:
    """Orders of these merchants, under one account."""

    def __init__(self, account: str, merchants: dict[str, str]) -> None:
        self._account = account
        self._merchants = merchants

    def __call__(self, order: Order) -> tuple[str, str] | None:
        shown = self._merchants.get(order.merchant)
        return None if shown is None else (self._account, shown)


def _one_of(request: web.Request, name: str, known: tuple[str, ...], otherwise: str) -> str:
    """A parameter of a few values. Raise Refusal."""
    value = request.query.get(name, otherwise)
    if value not in (*known, otherwise):
        raise wrong_field(f"/{name}", value, f"must be one of {', '.join(known)}", "query")
    return value


def _movements(events: list[Event], day: int) -> list[funds.FundLine]:
    """The day's changes; the balance is that of all events since the account began."""
    made: list[funds.FundLine] = []
    balance = 0
    for event in events:
        line = event.line
        is_payment = line.kind is BillKind.PAYMENT
        sign = 1 if is_payment else -1
        name = "交易" if is_payment else ("撤销" if line.state is BillState.REVERSED else "退款")
        steps = ((name, sign * line.settle_amount), ("交易手续费", -sign * line.fee))
        for part, (kind, change) in enumerate(steps):
            if not change:
                continue
            balance += change
            if line.bill_date != day:
                continue
            trade_no = line.channel_refund_no or line.channel_trade_no
            number = line.out_refund_no or line.out_trade_no
            flow_no = f"{line.at_ms // 1000}{sign + 1}{part}{trade_no[-12:]}"
            made.append(
                funds.FundLine(
                    line.at_ms,
                    trade_no,
                    flow_no,
                    kind,
                    kind,
                    change,
                    balance,
                    applicant="system",
                    voucher=number,
                )
            )
    return made
