"""The world around a test deployment's bank: its clock, and channels that pay what they took.

Real channels send each day's money to the custody account by themselves. Sandboxes cannot, so this
stand-in asks each of ours what its day came to, by its own bill, and pays that into the bank's
sandbox at nine o'clock of the next working day, with the text that names account and day. What a
day lacks because refunds were more than sales, it takes off the days after it. It looks into the
sandboxes alone, never into our books: what we believe of a day, the credit may contradict. It runs
in the custody box, and only where bank and channels are sandboxes.
"""

import asyncio
from typing import Any, Final

import msgspec

from gateway.logs import get_logger
from gateway.settings_home import Bank, calendar_of
from gateway.settings_shape import ChannelAccount, Settings
from payments.bills.text import china_date, day_ms
from payments.channels.transport import HttpAnswer, HttpClient, HttpRequest, NoAnswer, NotSent
from payments.clearing.workdays import DateUnknown, plus_days
from payments.clock import Clock
from payments.settlement import remittance

PAYS_AT_MS: Final = 9 * 3_600_000
"""After midnight in China, of the first working day after the day that is paid."""

LOOK_BACK_DAYS: Final = 40
"""At its start it pays what was not paid of so many days: the longest break, and a month."""

CONFLICT: Final = 409
LOOK_S: Final = 30.0
CALL_S: Final = 5.0

log = get_logger(__name__)


class Unheard(Exception):
    """A sandbox did not answer as it should. Its text says what it did."""


class PaidBefore(Unheard):
    """The bank knows the day's reference with another amount: an earlier process paid it."""


class ChannelSettlement:
    """`set_clock` and `run` as `actors.custody.Outside` has them."""

    def __init__(self, settings: Settings, bank: Bank, http: HttpClient, clock: Clock) -> None:
        self.paid: dict[str, int] = {}
        """Reference -> minor units, of this process."""
        self._bank_url = bank.base_url.rstrip("/")
        self._accounts = [
            each for each in settings.channels if each.sandbox and each.settles_to == "custody"
        ]
        self._workdays = calendar_of(settings.workdays, settings.settlement)
        self._http = http
        self._clock = clock
        self._done: dict[str, int] = {}
        """Channel account -> the last day that was looked at and is over."""
        self._lacking: dict[str, int] = {}
        """Channel account -> by how much refunds were more than sales and are not netted; minor."""
        self._working = asyncio.Lock()

    async def set_clock(self, offset_ms: int) -> int | None:
        """The bank's clock goes along; what is due by then is paid in. What is due next."""
        try:
            told = await self._ask("POST", f"{self._bank_url}/_sandbox/clock", offset_ms=offset_ms)
        except Unheard as error:
            log.warning("the bank's clock did not follow", error=str(error))
            told = {}
        due = told.get("next_due_ms")
        await self.settle()
        return min((each for each in (due, self.next_due()) if each is not None), default=None)

    async def run(self) -> None:
        """Pay what is due while nobody moves the clock, until canceled."""
        while True:
            await self.settle()
            await asyncio.sleep(LOOK_S)

    def next_due(self) -> int | None:
        """When the next day is paid, business ms. None where the calendar ends."""
        dues = [self._due_ms(plus_days(self._last(each), 1)) for each in self._accounts]
        return min((due for due in dues if due is not None), default=None)

    def _last(self, account: ChannelAccount) -> int:
        today = china_date(self._clock.now_ms())
        return self._done.get(account.account) or plus_days(today, -LOOK_BACK_DAYS)

    def _due_ms(self, date: int) -> int | None:
        try:
            return day_ms(self._workdays.next_working(date)) + PAYS_AT_MS
        except DateUnknown as error:
            log.warning("no channel settles: there is no calendar", error=str(error))
            return None

    # --- paying --------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Pay every day of every account that is due. Who does not answer is asked again later."""
        async with self._working:
            for account in self._accounts:
                try:
                    await self._settle(account)
                except Unheard as error:
                    log.warning("a day is not paid yet", account=account.account, error=str(error))

    async def _settle(self, account: ChannelAccount) -> None:
        while True:
            date = plus_days(self._last(account), 1)
            due = self._due_ms(date)
            if due is None or due > self._clock.now_ms():
                return
            await self._pay(account, date)
            self._done[account.account] = date

    async def _pay(self, account: ChannelAccount, date: int) -> None:
        url = account.base_url.rstrip("/")
        day = await self._ask("GET", f"{url}/_sandbox/takings?date={date}")
        if not day.get("is_over"):
            raise Unheard(f"the day {date} is not over at {url}")
        amount = day["settle_minor"]
        if account.settlement == "net":
            amount -= day["fee_minor"]
        amount -= self._lacking.get(account.account, 0)
        if amount <= 0:
            self._lacking[account.account] = -amount
            return
        reference = f"{account.account[:26]}-{date}"
        try:
            said = await self._ask(
                "POST",
                f"{self._bank_url}/_sandbox/credit",
                amount_minor=amount,
                remittance=remittance.write(account.account, date),
                reference=reference,
                sender=account.name,
            )
        except PaidBefore:
            # What was lacking then began before the days that this process looks back to.
            said = {}
        self._lacking[account.account] = 0
        self.paid[reference] = amount
        if said.get("is_new"):
            log.info("a channel paid a day", account=account.account, date=date, amount=amount)

    async def _ask(self, method: str, url: str, **body: object) -> dict[str, Any]:
        """A JSON object. Raise Unheard."""
        content = msgspec.json.encode(body) if body else b""
        headers = {"Content-Type": "application/json"}
        try:
            answer: HttpAnswer = await self._http.send(
                HttpRequest(method, url, headers, content, CALL_S)
            )
            if answer.status == CONFLICT:
                raise PaidBefore(f"{url} answered {answer.status}")
            if answer.status != 200:
                raise Unheard(f"{url} answered {answer.status}")
            return msgspec.json.decode(answer.body, type=dict[str, Any])
        except (NotSent, NoAnswer, msgspec.DecodeError) as error:
            raise Unheard(f"{url}: {error}") from None
