"""A payer's page inside its shard: what it shows, who pays, and which attempt begins when.

Decisions are `payments/lifecycle.py`'s and `payments/pages.py`'s (docs/CASHIER.md). Who pays is
asked of the wallet through the lane, which alone has the account's secrets; nothing is decided
while that is under way, so whatever changed meanwhile is seen when the answer comes.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.json import Encoder

from actors.core import Core
from actors.link import Link
from actors.live import LivePayment
from actors.messages import Act, LaneAct, LaneIdentify, PageAsk
from actors.outside import unable
from actors.paying import Paying
from payments.channels.base import Declined, Elsewhere, Known, Outcome
from payments.choosing import choose
from payments.errors import (
    InvalidField,
    NoChannel,
    NotFound,
    Overloaded,
    PaymentError,
    WalletNotSupported,
)
from payments.lifecycle import UNDOING, Decision, first_look, number_of
from payments.pages import CHOICES_MAX, begin, cannot_begin, expired, is_ready
from payments.payment import AttemptState, Choice, Failure, Payment, Way
from payments.routing import ChannelAccount

PENDING_MAX: Final = 10_000
"""Pages of one shard that wait for a wallet or for their attempt."""

TEST_PAYERS: Final = {
    "wechat": "oTillwayTestPayer0000000001",
    "alipay": "2088000000000001",
    "unionpay": "tillwayTestPayer01",
}
"""Who pays when a test acts for the payer: nobody came through the wallet's door."""

PAGE_VERBS: Final = frozenset({"pay", "decline"})

_encode: Final = Encoder().encode


def _begun(payment: Payment) -> set[tuple[str | None, bytes | None]]:
    """(wallet, consent) of what is chosen and of the attempt that is open."""
    attempt, page = payment.attempt, payment.page
    found: set[tuple[str | None, bytes | None]] = set()
    if page is not None and page.wanted is not None:
        found.add((page.wanted.wallet, page.wanted.consent))
    elif attempt is not None and attempt.state not in UNDOING:
        found.add((attempt.wallet, attempt.consent))
    return found


class PageView(Struct):
    """What a page may know of its payment. `mine`: this browser's choice began the attempt."""

    id: str
    merchant: str
    store: str | None
    subject: str | None
    order_no: str
    amount: int
    currency: str
    status: str
    entry: str
    wallet: str | None
    wallets: tuple[str, ...]
    is_page: bool
    attempt: str | None
    mine: bool
    client_params: dict[str, str] | None
    pay_url: str | None
    failure: Failure | None
    expires_at: int | None
    now: int
    return_url: str | None
    trouble: str | None = None
    authorize_url: str | None = None
    account: str | None = None


class _Pending(Struct):
    """A page that waits: for the lane to name the payer, or for its attempt to be shown."""

    link: Link
    ask: PageAsk
    live: LivePayment
    account: str = ""
    deadline: float = 0.0


class Paging:
    """The flow of payers' pages."""

    def __init__(self, core: Core, paying: Paying) -> None:
        self._core = core
        self._paying = paying
        self._ref = 0
        self._naming: dict[int, _Pending] = {}
        self._watching: dict[int, list[_Pending]] = {}
        self._acts: dict[int, list[tuple[Link, Act]]] = {}
        self.act_on_order: Callable[[Link, Act], None] | None = None
        paying.page_moved = self.moved

    # --- asked by a front door -----------------------------------------------------------------

    def ask(self, link: Link, command: PageAsk) -> None:
        core = self._core
        try:
            live = self._paying.find(command.payment)
            if live is None or live.payment.way is not Way.CASHIER:
                raise NotFound("no such page")
            if command.op == "view":
                self._tell(link, command, live)
            elif command.op == "authorize":
                self._authorize(link, command, live)
            elif command.op == "choose":
                self._choose(link, command, live)
            elif command.op == "act":
                self._act_there(link, command, live, command.text)
            else:
                raise InvalidField("no such operation", param="op")
            core.forget(live)
        except PaymentError as error:
            core.refuse(link, command.ref, error)
        except Exception as error:
            core.bug(link, command.ref, error)

    def _tell(
        self,
        link: Link,
        command: PageAsk,
        live: LivePayment,
        trouble: str | None = None,
        authorize_url: str | None = None,
        account: str | None = None,
    ) -> None:
        view = self._view(live.payment, command.consent)
        view.trouble, view.authorize_url, view.account = trouble, authorize_url, account
        self._core.say(link, command.ref, 200, _encode(view))

    def _view(self, payment: Payment, consent: bytes | None) -> PageView:
        core = self._core
        attempt, page = payment.attempt, payment.page
        mine = consent is not None and attempt is not None and attempt.consent == consent
        is_shown = attempt is not None and attempt.state is AttemptState.SHOWN
        is_page = page is not None
        return PageView(
            payment.id,
            payment.merchant,
            payment.store,
            payment.subject,
            payment.order_no,
            payment.amount,
            payment.currency,
            payment.status,
            payment.entry,
            payment.wallet,
            core.lanes.router.wallets(Way.JSAPI if is_page else Way.CASHIER),
            is_page,
            attempt.state if attempt is not None else None,
            mine,
            attempt.client_params if attempt is not None and mine and is_shown else None,
            attempt.pay_url if attempt is not None and mine and is_shown else None,
            payment.failure or (page.failure if page is not None else None),
            payment.expires_at,
            core.clock.now_ms(),
            payment.return_url,
        )

    # --- who pays ------------------------------------------------------------------------------

    def _trouble(self, payment: Payment) -> str | None:
        """Why no choice can be made now, in a word for the page; None when one can."""
        page = payment.page
        if payment.is_final:
            return "over"
        if page is None or not payment.is_page_open or expired(payment, self._core.clock.now_ms()):
            return "closing"
        return "too_many" if page.choices >= CHOICES_MAX else None

    def _account(self, live: LivePayment, wallet: str | None, hint: str | None) -> ChannelAccount:
        """The account that would take this wallet now. Raise NoChannel, WalletNotSupported."""
        lanes = self._core.lanes
        facts = lanes.facts(live.partition)
        unfit = unable(lanes, live.payment)
        _, account = lanes.router.plan(Way.JSAPI, wallet or "", facts, hint, unfit)
        if hint is not None and account.name != hint:
            # The wallet named the payer to one account; another would not know them.
            raise NoChannel("the channel is down just now", retry_after_s=1)
        return account

    def _authorize(self, link: Link, command: PageAsk, live: LivePayment) -> None:
        if live.payment.page is None:
            self._act_there(link, command, live, "pay")
            return
        begun = _begun(live.payment)
        if command.consent is not None and (command.wallet, command.consent) in begun:
            self._watch(link, command, live)
            return
        trouble = self._trouble(live.payment)
        account = None
        if trouble is None:
            account = self._found(live, command)
            trouble = None if account is not None else "no_channel"
        if account is None:
            self._tell(link, command, live, trouble)
            return
        self._name(link, command, live, account, "authorize")

    def _found(self, live: LivePayment, command: PageAsk) -> str | None:
        try:
            return self._account(live, command.wallet, command.account).name
        except (NoChannel, WalletNotSupported):
            return None

    def _name(self, link: Link, command: PageAsk, live: LivePayment, account: str, op: str) -> None:
        """Ask the lane of an account where a payer is named, or who came with a code."""
        if len(self._naming) >= PENDING_MAX:
            raise Overloaded("too many pages wait just now", retry_after_s=1)
        self._ref += 1
        ref = -(self._ref << 1 | 1)
        state = f"{command.state}.{account}" if op == "authorize" else ""
        message = LaneIdentify(ref, op, command.text, state)
        if not self._core.lanes.send(account, live.partition, message):
            self._tell(link, command, live, "no_channel")
            return
        self._naming[ref] = _Pending(link, command, live, account)

    def named(self, ref: int, outcome: Outcome) -> None:
        """The lane's word on a LaneIdentify."""
        pending = self._naming.pop(ref, None)
        if pending is None:
            return
        link, command, live = pending.link, pending.ask, pending.live
        try:
            if isinstance(outcome, Elsewhere):
                self._tell(link, command, live, None, outcome.url, pending.account)
            elif isinstance(outcome, Known):
                self._chosen(link, command, live, outcome.payer, pending.account)
            elif isinstance(outcome, Declined) and command.op == "authorize":
                # This channel names nobody: in test mode somebody is made up, else it has to do.
                live_mode = self._core.options.livemode
                payer = None if live_mode else TEST_PAYERS.get(command.wallet or "")
                self._chosen(link, command, live, payer, pending.account)
            else:
                self._tell(link, command, live, "unnamed")
        except Exception as error:
            self._core.bug(link, command.ref, error)

    # --- choosing ------------------------------------------------------------------------------

    def _choose(self, link: Link, command: PageAsk, live: LivePayment) -> None:
        payment = live.payment
        if payment.page is None:
            self._act_there(link, command, live, "pay")
            return
        if command.consent is not None and (command.wallet, command.consent) in _begun(payment):
            self._watch(link, command, live)  # The same browser again: its code counted already.
            return
        trouble = self._trouble(payment)
        if trouble is not None:
            self._tell(link, command, live, trouble)
            return
        account = self._found(live, command)
        if account is None:
            self._tell(link, command, live, "no_channel")
        elif command.text:
            self._name(link, command, live, account, "identify")
        else:
            self._tell(link, command, live, "unnamed")

    def _chosen(
        self, link: Link, command: PageAsk, live: LivePayment, payer: str | None, account: str
    ) -> None:
        core = self._core
        payment = live.payment
        trouble = self._trouble(payment)
        if trouble is None and payer in core.policy.blocked_payers:
            core.count("pages_refused")
            trouble = "refused"
        if trouble is not None:
            self._tell(link, command, live, trouble)
            return
        live.payer_ip = command.payer_ip
        self._wish(live, Choice(command.wallet or "", payer, account, command.consent))
        self._watch(link, command, live)

    def _wish(self, live: LivePayment, choice: Choice) -> None:
        core = self._core
        attempt = live.payment.attempt
        now = core.clock.now_ms()
        schedule = core.options.schedule(attempt.account if attempt is not None else "")
        self._paying.fold(live, choose(live.payment, choice, now, schedule), now)

    def moved(self, live: LivePayment) -> None:
        """Something happened to a page's payment: begin what is wanted, tell who watches."""
        now = self._core.clock.now_ms()
        if is_ready(live.payment, now):
            self._begin(live, now)
        if live.no in self._watching and self._is_settled(live.payment):
            for pending in self._watching.pop(live.no):
                self._tell(pending.link, pending.ask, live)
        if live.no in self._acts and self._is_settled(live.payment):
            assert self.act_on_order is not None
            for link, command in self._acts.pop(live.no):
                self.act_on_order(link, command)

    def _begin(self, live: LivePayment, now: int) -> None:
        core = self._core
        page = live.payment.page
        assert page is not None
        assert page.wanted is not None
        choice = page.wanted
        try:
            account = self._account(live, choice.wallet, choice.account)
        except (NoChannel, WalletNotSupported) as error:
            failure = Failure("channel_error", error.detail)
            dropped = cannot_begin(live.payment, failure, now)
            self._paying.fold(live, Decision((dropped,)), now)
            return
        at = first_look(now, core.options.schedule(account.name))
        channel, is_outside = account.channel, account.pays_merchant
        sent = begin(live.payment, channel, account.name, now, at, is_outside=is_outside)
        core.lanes.facts(live.partition)[account.name].credits -= 1
        live.lane_ref = True
        self._paying.fold(live, Decision((sent,)), now)
        core.releases.sends.append(live)

    # --- watching ------------------------------------------------------------------------------

    def _is_settled(self, payment: Payment) -> bool:
        """Whether a page that waits has something to show."""
        attempt, page = payment.attempt, payment.page
        if payment.is_final or page is None:
            return True
        if attempt is None:
            return page.wanted is None
        return attempt.state is AttemptState.SHOWN and page.wanted is None

    def _watch(self, link: Link, command: PageAsk, live: LivePayment) -> None:
        """Answer when there is something to show, or when the page's patience is over."""
        watched = sum(map(len, self._watching.values()))
        if not command.wait_ms or self._is_settled(live.payment) or watched >= PENDING_MAX:
            self._tell(link, command, live)
            return
        deadline = self._core.clock.monotonic() + command.wait_ms / 1000
        pending = _Pending(link, command, live, deadline=deadline)
        self._watching.setdefault(live.no, []).append(pending)

    def tick(self) -> None:
        """Answer pages whose patience is over with what there is."""
        now = self._core.clock.monotonic()
        for no, watchers in list(self._watching.items()):
            late = [pending for pending in watchers if pending.deadline <= now]
            if late:
                self._watching[no] = [each for each in watchers if each.deadline > now]
                if not self._watching[no]:
                    del self._watching[no]
            for pending in late:
                self._tell(pending.link, pending.ask, pending.live)

    def lane_lost(self) -> None:
        """A lane died: who waits for a payer's name asks again."""
        naming, self._naming = self._naming, {}
        for pending in naming.values():
            self._tell(pending.link, pending.ask, pending.live, "unnamed")

    # --- test mode -----------------------------------------------------------------------------

    def _act_there(self, link: Link, command: PageAsk, live: LivePayment, verb: str) -> None:
        """In test mode the page is the payer's phone too: what they do in the wallet."""
        payment = live.payment
        attempt = payment.attempt
        trouble = None
        if payment.is_final:
            trouble = "over"
        elif self._core.options.livemode or verb not in PAGE_VERBS or not self._is_shown(payment):
            trouble = "closing"
        if attempt is not None and trouble is None:
            self._ref += 1
            message = LaneAct(-(self._ref << 1 | 1), number_of(payment), verb)
            if not self._core.lanes.send(attempt.account, live.partition, message):
                trouble = "no_channel"
        self._tell(link, command, live, trouble)

    def act(self, link: Link, command: Act) -> bool:
        """A test acts for the payer of a page. False: there is an order to act on, or never will.

        Nobody came through a wallet's door, so somebody is made up who did.
        """
        live = self._paying.find(command.payment)
        if live is None or live.payment.merchant != command.merchant:
            return False
        payment = live.payment
        if payment.page is None or payment.is_final or self._is_shown(payment):
            return False
        if self._trouble(payment) is not None:
            return False
        if payment.attempt is None and payment.page.wanted is None:
            wallets = self._core.lanes.router.wallets(Way.JSAPI)
            wallet = next((each for each in wallets if each in TEST_PAYERS), "")
            self._acts.setdefault(live.no, []).append((link, command))
            self._wish(live, Choice(wallet, TEST_PAYERS.get(wallet)))
            return True
        self._acts.setdefault(live.no, []).append((link, command))
        return True

    def _is_shown(self, payment: Payment) -> bool:
        return payment.attempt is not None and payment.attempt.state is AttemptState.SHOWN
