"""What people ask of clearing: have a run, look at batches."""

from typing import Any

from msgspec import Struct

from actors.clearing import Clearing
from actors.home import HomeDesk, Said, body_of, page
from actors.home_messages import HomeAsk
from actors.record_kinds import BATCH
from payments.calendar import business_date
from payments.clearing.batch import Batch
from payments.clearing.runs import ASKED_MAX, Asked
from payments.clearing.view import batch_json, run_json
from payments.clearing.workdays import to_date
from payments.errors import Conflict, InvalidField, NotFound, Overloaded

URL = "/v1/clearing_batches"


class NewRun(Struct, forbid_unknown_fields=True):
    """`business_date`: yyyymmdd, the last one that is cleared; today in China if not said."""

    business_date: int | None = None


class ClearingAsks:
    """Registers at the desk; answers with the objects of `payments.clearing.view`."""

    def __init__(self, desk: HomeDesk, clearing: Clearing) -> None:
        self._desk = desk
        self._clearing = clearing
        self._livemode = desk.core.options.livemode
        desk.takes("clearing_batch.run", self.run, is_new=True)
        desk.takes("clearing_batch.list", self.list)
        desk.takes("clearing_batch.get", self.get)

    def run(self, ask: HomeAsk) -> Said:
        """Clear what was sold by now, up to a date: one merchant's, or everybody's.

        The answer comes before the run. InvalidField for a date to come, Conflict for one that the
        merchant has behind it, Overloaded while too many runs wait.
        """
        today = business_date(self._desk.core.clock.now_ms())
        wish = body_of(ask, NewRun)
        date = today if wish.business_date is None else wish.business_date
        if not _is_date(date) or date > today:
            raise InvalidField("a date up to today, such as 20260302", param="business_date")
        newest = self._clearing.newest(ask.merchant) if ask.merchant else None
        if newest is not None and newest.business_date > date:
            raise Conflict(f"{newest.id} has cleared {newest.business_date} already")
        asked = Asked(ask.merchant, date)
        waiting = self._clearing.runs.waiting
        if asked not in waiting and len(waiting) >= ASKED_MAX:
            raise Overloaded(f"{ASKED_MAX} clearing runs wait; try again", retry_after_s=5)
        self._clearing.ask(asked)
        return Said(202, run_json(asked, self._livemode))

    def get(self, ask: HomeAsk) -> Said:
        target = ask.target or ""
        batch = self._desk.core.records.get(target, Batch) if target[:4] == "bat_" else None
        if batch is None or ask.merchant not in ("", batch.merchant):
            raise NotFound("there is no such clearing batch")
        return Said(200, self._show(batch))

    def list(self, ask: HomeAsk) -> Said:
        """Newest first; `merchant`, `business_date` and `status` say which."""
        query = ask.query
        wanted = {
            name: query[name] for name in ("merchant", "business_date", "status") if name in query
        }

        def keep(batch: Batch) -> bool:
            facts = {
                "merchant": batch.merchant,
                "business_date": str(batch.business_date),
                "status": batch.state.value,
            }
            return all(facts[name] == value for name, value in wanted.items())

        owner = ask.merchant or query.get("merchant", "")
        return page(self._desk, ask, URL, BATCH, owner, self._show, keep if wanted else None)

    def _show(self, batch: Any) -> bytes:
        return batch_json(batch, self._livemode)


def _is_date(date: int) -> bool:
    try:
        to_date(date)
    except ValueError:
        return False
    return True
