"""What people ask of the reconciler: comparisons and differences shown, and decided by two of them.

The front door has verified the caller, an operator, and its roles.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from msgspec.json import encode

from actors.home_messages import HomeAsk
from actors.messages import Answer
from actors.reconciler_carrying import NotBrought
from payments.directory_view import wish_of
from payments.errors import Conflict, InvalidField, NotFound, Overloaded, Unauthorized
from payments.reconciliation.adjustment import ACTS_THAT_BOOK
from payments.reconciliation.bank import CREDITS_ACCOUNT
from payments.reconciliation.differences import (
    Act,
    Difference,
    Kind,
    Proposal,
    proposal_of,
    proposal_of_credit,
)
from payments.reconciliation.exceptions import item_view, run_view
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.resolving import DecisionRefused, check, propose
from payments.reconciliation.runs import Run
from payments.reconciliation.shared import is_sharing
from payments.reconciliation.wishes import NewReconciliation, ProposeResolution, ResolveItem
from payments.storage.comparing import aside
from payments.storage.reconciliation import NonceSpent, ReconciliationReader

if TYPE_CHECKING:
    from actors.reconciler import Reconciler

RUNS_URL: Final = "/v1/reconciliations"
ITEMS_URL: Final = "/v1/reconciliation_items"
LIMIT_DEFAULT: Final = 10
BUSY_S: Final = 3.0
"""How long a decision waits for a comparison that is being written."""
BRING_S: Final = 4.0
"""How long a POST waits for its comparison before it answers "running"."""

_ONLY_OF: Final = {
    Act.ADJUST_FEE: Kind.FEE,
    Act.REFUND_LATE_SUCCESS: Kind.LATE_SUCCESS,
    Act.REFUND_DUPLICATE: Kind.DUPLICATE,
    Act.WAIT_FOR_BILL: Kind.EXPECTED_LATER,
    Act.WAIT_FOR_CREDIT: Kind.NOT_THERE_YET,
}
"""Acts that belong to one kind of difference. All others may be proposed for any."""


class Desk:
    """Answers one question at a time each."""

    def __init__(self, reconciler: "Reconciler") -> None:
        self._reconciler = reconciler
        self._operations: dict[str, Callable[[HomeAsk], Awaitable[Answer]]] = {
            "reconciliations.create": self._create,
            "reconciliations.list": self._list,
            "reconciliations.get": self._get,
            "reconciliation_items.list": self._list_items,
            "reconciliation_items.get": self._get_item,
            "reconciliation_items.propose": self._propose,
            "reconciliation_items.resolve": self._resolve,
        }

    async def answer(self, ask: HomeAsk) -> Answer:
        """The answer, true when it is given. Raise PaymentError, StoreRefused."""
        operation = self._operations.get(ask.op)
        if operation is None:
            raise NotFound(f"there is no {ask.op}")
        if ask.nonce:
            await self._spend_nonce(ask)
        return await operation(ask)

    async def _spend_nonce(self, ask: HomeAsk) -> None:
        """A signature counts once, also after a restart."""
        spend = self._reconciler.comparing.spend
        async with self._owning():
            try:
                await aside(spend, ask.caller, ask.nonce, ask.nonce_at)
            except NonceSpent:
                raise Unauthorized("the nonce was used before") from None

    # --- comparisons -----------------------------------------------------------------------------

    async def _create(self, ask: HomeAsk) -> Answer:
        """Fetch and compare now; the same day again answers what there is."""
        wish = wish_of(NewReconciliation, ask.body)
        account = self._reconciler.accounts.get(wish.channel)
        if account is None:
            known = ", ".join(self._reconciler.accounts) or "none"
            raise InvalidField(f"no such channel account; with bills: {known}", param="channel")
        self._check_day(wish.bill_date)
        bringing = self._reconciler.bring(account, wish.bill_date, is_asked=True)
        try:
            async with asyncio.timeout(BRING_S):
                run = await bringing
        except TimeoutError:
            body: dict[str, Any] = {
                "id": None,
                "object": "reconciliation",
                "account": account.name,
                "channel": account.channel,
                "bill_date": wish.bill_date,
                "status": "running",
                "channel_account": "",
                "file": "",
                "file_sha256": "",
                "supersedes": None,
                "counts": {},
                "open": {},
                "lines": None,
                "totals": None,
                "bank": None,
            }
            return Answer(0, 202, encode(body), retry_after=1)
        except NotBrought as error:
            raise Conflict(error.reason) from error
        with self._reading() as reader:
            run = run or reader.current(account.name, wish.bill_date)
            if run is None:
                raise Conflict("nothing happened on that day, there or here")
            return Answer(0, 200, encode(run_view(run, reader.open_counts(run.id))))

    def _check_day(self, date: int) -> None:
        try:
            _, ended = day_bounds(date)
        except ValueError:
            raise InvalidField("no day, yyyymmdd", param="bill_date") from None
        if ended > self._reconciler.clock.now_ms():
            raise InvalidField("this day is not over in China", param="bill_date")

    async def _list(self, ask: HomeAsk) -> Answer:
        query, limit = ask.query, int(ask.query.get("limit", LIMIT_DEFAULT))
        if not self._is_begun():
            return _page(RUNS_URL, [], has_more=False)
        with self._reading() as reader:
            runs = reader.runs_page(
                query.get("channel", ""),
                int(query.get("bill_date", "0")),
                query.get("status", ""),
                query.get("starting_after", ""),
                limit + 1,
            )
            data = [run_view(run, reader.open_counts(run.id)) for run in runs[:limit]]
        return _page(RUNS_URL, data, has_more=len(runs) > limit)

    async def _get(self, ask: HomeAsk) -> Answer:
        with self._reading() as reader:
            run = reader.run(ask.target or "")
            if run is None or run.counts is None:
                raise NotFound(f"no reconciliation {(ask.target or '')[:40]!r}")
            return Answer(0, 200, encode(run_view(run, reader.open_counts(run.id))))

    # --- differences -----------------------------------------------------------------------------

    async def _list_items(self, ask: HomeAsk) -> Answer:
        query, limit = ask.query, int(ask.query.get("limit", LIMIT_DEFAULT))
        if not self._is_begun():
            return _page(ITEMS_URL, [], has_more=False)
        with self._reading() as reader:
            rows = reader.items_page(
                query.get("reconciliation", ""),
                query.get("type", ""),
                query.get("status", ""),
                query.get("owner", ""),
                query.get("starting_after", ""),
                limit + 1,
            )
        now = self._reconciler.clock.now_ms()
        data = [item_view(item, each, run, now) for item, each, run in rows[:limit]]
        return _page(ITEMS_URL, data, has_more=len(rows) > limit)

    async def _get_item(self, ask: HomeAsk) -> Answer:
        return self._shown(ask.target or "", *self._item(ask))

    def _item(self, ask: HomeAsk) -> tuple[Difference, Run]:
        with self._reading() as reader:
            found = reader.item(ask.target or "")
        if found is None:
            raise NotFound(f"no reconciliation item {(ask.target or '')[:40]!r}")
        return found

    async def _propose(self, ask: HomeAsk) -> Answer:
        wish = wish_of(ProposeResolution, ask.body)
        async with self._owning():
            difference, run = self._item(ask)
            proposal = _proposal(wish.act, difference, run, self._reconciler.custody)
            is_again = (difference.maker, difference.maker_note) == (ask.caller, wish.note)
            if is_again and difference.proposal == proposal:
                return self._shown(ask.target or "", difference, run)
            now = self._reconciler.clock.now_ms()
            try:
                event = propose(difference, ask.caller, wish.note, now, proposal)
            except DecisionRefused as error:
                raise Conflict(str(error)) from error
            decide = self._reconciler.comparing.decide
            difference = await aside(decide, ask.target or "", event)
        return self._shown(ask.target or "", difference, run)

    async def _resolve(self, ask: HomeAsk) -> Answer:
        wish = wish_of(ResolveItem, ask.body)
        item, agrees = ask.target or "", wish.decision == "accept"
        async with self._owning():
            difference, run = self._item(ask)
            if agrees and difference.checker == ask.caller:
                return self._shown(item, difference, run)
            now = self._reconciler.clock.now_ms()
            try:
                event = check(difference, ask.caller, wish.reason, now, agrees=agrees)
            except DecisionRefused as error:
                raise Conflict(str(error)) from error
            if agrees:
                # First what it says, by the difference's id; a crash here does it again.
                carry_out = self._reconciler.carrying.carry_out
                await carry_out(item, difference, run.account, ask.caller)
            decide = self._reconciler.comparing.decide
            difference = await aside(decide, item, event)
        return self._shown(item, difference, run)

    def _shown(self, item: str, difference: Difference, run: Run) -> Answer:
        now = self._reconciler.clock.now_ms()
        return Answer(0, 200, encode(item_view(item, difference, run, now)))

    # --- the file --------------------------------------------------------------------------------

    def _owning(self) -> "_Owning":
        return _Owning(self._reconciler.disk)

    def _is_begun(self) -> bool:
        """Whether any bill was ever compared here."""
        reader = self._reconciler.comparing.reader()
        if reader is not None:
            reader.close()
        return reader is not None

    @contextmanager
    def _reading(self) -> Iterator[ReconciliationReader]:
        reader = self._reconciler.comparing.reader()
        if reader is None:
            raise NotFound("no bill was compared here yet")
        try:
            yield reader
        finally:
            reader.close()


class _Owning:
    """The right to open the file of comparisons. Overloaded when a long comparison holds it."""

    def __init__(self, disk: asyncio.Lock) -> None:
        self._disk = disk

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(BUSY_S):
                await self._disk.acquire()
        except TimeoutError:
            raise Overloaded("a bill is being compared; try again", retry_after_s=1) from None

    async def __aexit__(self, *error: object) -> None:
        self._disk.release()


def _proposal(act: Act | None, difference: Difference, run: Run, custody: str) -> Proposal:
    """What is proposed: the comparison's own, or another act with the entry that belongs to it."""
    if act is None or act is difference.proposal.act:
        return difference.proposal
    if _ONLY_OF.get(act, difference.kind) is not difference.kind:
        raise InvalidField(f"{act} is not for a difference of {difference.kind}", param="act")
    if run.account == CREDITS_ACCOUNT and act in ACTS_THAT_BOOK:
        if act is not Act.SUSPENSE or difference.names:
            raise InvalidField("it may still be divided; nothing can be booked", param="act")
        if not custody:
            raise InvalidField("there is no bank in the settings to book it at", param="act")
        return proposal_of_credit(custody, difference.amount)
    if is_sharing(run.account) and act in ACTS_THAT_BOOK:
        raise InvalidField("divided money is not in our books; nothing can be booked", param="act")
    return proposal_of(run.account, act, difference.amount, difference.number)


def _page(url: str, data: list[dict[str, Any]], *, has_more: bool) -> Answer:
    body = {"object": "list", "url": url, "has_more": has_more, "data": data}
    return Answer(0, 200, encode(body))
