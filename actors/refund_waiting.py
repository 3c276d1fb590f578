"""Who waits for a refund: told at once if it has ended, else when it does."""

from actors.core import Core
from actors.link import Link
from actors.live import LiveRefund, Waiter
from actors.paying import CANCEL
from payments.refund import RefundStatus
from payments.view import refund_json


class RefundWaiting:
    """The part of the flow of refunds that answers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def wait(
        self,
        entry: LiveRefund,
        link: Link,
        ref: int,
        wait_ms: int,
        seen: str | None,
        *,
        replayed: bool,
    ) -> None:
        core = self._core
        waiter = Waiter(link, ref, core.clock.monotonic() + wait_ms / 1000, seen, replayed)
        if entry.refund.status is not RefundStatus.PROCESSING:
            self.tell(entry, waiter)
            return
        entry.waiters = [*(entry.waiters or ()), waiter]
        core.waiting[entry.no << 1 | 1] = entry

    def tell(self, entry: LiveRefund, waiter: Waiter) -> None:
        core = self._core
        processing = entry.refund.status is RefundStatus.PROCESSING
        if waiter.seen == CANCEL:
            body = core.render(entry.of)
            core.say(
                waiter.link, waiter.ref, 202 if processing else 200, body, replayed=waiter.replayed
            )
            return
        status = 200 if waiter.seen is not None else 202 if processing else 201
        body = refund_json(entry.refund, core.presentation)
        core.say(waiter.link, waiter.ref, status, body, replayed=waiter.replayed)
