"""A payer changes the wallet while wires are cut and boxes die: one charge at most, all the same.

Two channels behind real sockets, WeChat's and Alipay's; the shard on real files. Whatever was lost,
the books of both sandboxes, the ledger and the merchants' events are compared at the end.
"""

import pytest
from msgspec.structs import replace

from actors.live import decode_payment
from actors.messages import PageAsk
from actors.pages import TEST_PAYERS
from all_rigs import RIGS
from cutting_proxy import HALF_OPEN, LOSE_ANSWER, RESET, cut_request
from oracle import rows_of
from payments.ids import out_trade_no
from payments.pages import CHOICES_MAX
from payments.payment import Way
from payments.testing import an_account
from wires import Wire, WireWorld
from world import ACCOUNTS

WALLETS = ("wechat", "alipay")
LANES = ("lane-sim-a", "lane-sim-b")
DEATHS = {"nobody": (), "shard": ("shard-0",), "lanes": LANES, "everything": ("shard-0", *LANES)}
CREATE = {"wechat": b"/v3/pay/transactions/jsapi ", "alipay": b"alipay.trade.create"}
CLOSE = {"wechat": b"/close ", "alipay": b"alipay.trade.close"}
CUTS = {
    "answer lost": LOSE_ANSWER,
    "half-open": HALF_OPEN,
    "reset": RESET,
    "request cut": cut_request(40),
}
deaths = pytest.mark.parametrize("victims", DEATHS.values(), ids=DEATHS)
cuts_and_deaths = pytest.mark.parametrize(
    ("cut", "victims"),
    [
        # Every cut with one death each; all combinations are for `make prove`.
        pytest.param(
            CUTS[cut],
            DEATHS[death],
            id=f"{cut}, {death}",
            marks=() if row == column else pytest.mark.slow,
        )
        for row, cut in enumerate(CUTS)
        for column, death in enumerate(DEATHS)
    ],
)


class PageWorld(WireWorld):
    """A channel for each wallet, and a merchant's page before them."""

    def __init__(self, path):
        super().__init__("wechat", path)

    async def _open(self):
        self.wires = {
            account: Wire(RIGS[wallet]()) for account, wallet in zip(ACCOUNTS, WALLETS, strict=True)
        }
        await super()._open()

    def accounts(self):
        return tuple(
            an_account(
                account,
                channel=wallet,
                wallets=(wallet,),
                ways=(Way.BARCODE, Way.JSAPI),
                priority=number,
                is_wired=True,
            )
            for number, (account, wallet) in enumerate(zip(ACCOUNTS, WALLETS, strict=True))
        )

    def page(self):
        """A cashier payment; its id."""
        return self.pay(way="cashier").body["id"]

    def ask(self, payment, op, **more):
        """A question of a front door about a page, without waiting for the answer."""
        ack = self.client.send(PageAsk(0, payment, op, **more))
        self.client.log.remove(ack)  # A payer was told something, not a merchant.
        return ack

    def choose(self, payment, wallet):
        """The payer taps; what the page was told, if anything."""
        consent = f"browser of {wallet}".encode()
        return self.ask(payment, "authorize", wallet=wallet, consent=consent, wait_ms=3_000)

    def chosen(self, payment, wallet):
        """The same, and wait."""
        return self.wait(self.choose(payment, wallet)).body

    def view(self, payment):
        return self.wait(self.ask(payment, "view")).body

    def cut_at(self, wallet, cut, matching, then=None):
        wire = self.wires[ACCOUNTS[WALLETS.index(wallet)]]
        return wire.proxy.cut(cut, matching=matching[wallet], times=1, then=then)

    def dying(self, victims):
        """What a cut does besides: the victims die in this very moment."""
        self.crashed = not victims

        def die():
            self.crashed = True
            if victims:
                self.kill(*victims)

        return die

    def charges(self, payment):
        """(wallet, state, charges) of each order of a payment, by its number."""
        found = {}
        for wallet, books in zip(WALLETS, self.taken().values(), strict=True):
            found |= {
                number: (wallet, book.state, book.charges)
                for number, book in books.items()
                if number.startswith(payment[4:])
            }
        return [found[number] for number in sorted(found)]


def stored(world, payment):
    """The payment as the shard's file has it."""
    payments = [decode_payment(row[8]) for row in rows_of(world).payments]
    return next(each for each in payments if each.id == payment)


@pytest.fixture
def world(tmp_path):
    made = PageWorld(tmp_path).start()
    yield made
    made.close()


def passed(world, seconds=20):
    """Time enough for whatever is asked again; the boxes that died are there again."""
    if world.crashed and len(world.boxes) < 1 + len(LANES):
        world.start()
    world.advance(seconds)


def test_a_change_of_wallets_without_any_trouble(world):
    """The story that the others spoil."""
    payment = world.page()
    first = world.chosen(payment, "wechat")
    second = world.chosen(payment, "alipay")

    assert ("shown", "shown") == (first["attempt"], second["attempt"])
    assert first["client_params"]["package"].startswith("prepay_id=")
    assert "tradeNO" in second["client_params"]
    assert [("wechat", "closed", 0), ("alipay", "unpaid", 0)] == world.charges(payment)
    world.pays(out_trade_no(payment, 1))
    world.proven()
    assert stored(world, payment).status == "succeeded"


@cuts_and_deaths
def test_the_close_is_lost(world, cut, victims):
    """Nothing else begins before the channel has said that the first order is over."""
    payment = world.page()
    world.chosen(payment, "wechat")
    world.cut_at("wechat", cut, CLOSE, world.dying(victims))

    world.choose(payment, "alipay")
    world.advance(1)
    before = world.charges(payment)
    passed(world)

    assert len([order for order in before if order[1] == "unpaid"]) <= 1
    assert [("wechat", "closed", 0), ("alipay", "unpaid", 0)] == world.charges(payment)
    world.pays(out_trade_no(payment, 1))
    world.proven()
    assert [("wechat", "closed", 0), ("alipay", "paid", 1)] == world.charges(payment)


@cuts_and_deaths
def test_the_payer_pays_while_the_close_is_lost(world, cut, victims):
    """The first order stands: the payment has succeeded with it, and nothing else began."""
    payment = world.page()
    world.chosen(payment, "wechat")
    die = world.dying(victims)

    def pay_and_die():
        wire = world.wires[ACCOUNTS[0]]
        for order in wire.sandbox.books.all_with(out_trade_no(payment, 0)):
            wire.sandbox.engine.act(order, "pay")
        die()

    world.cut_at("wechat", HALF_OPEN if cut is LOSE_ANSWER else cut, CLOSE, pay_and_die)
    world.choose(payment, "alipay")
    world.advance(1)
    passed(world)

    assert [("wechat", "paid", 1)] == world.charges(payment)
    world.proven()
    assert (stored(world, payment).status, stored(world, payment).wallet) == (
        "succeeded",
        "wechat",
    )


@cuts_and_deaths
def test_the_next_order_is_lost(world, cut, victims):
    """Nobody has what it takes to pay it: it is closed, and made anew under the next number."""
    payment = world.page()
    world.chosen(payment, "wechat")
    world.cut_at("alipay", cut, CREATE, world.dying(victims))

    world.choose(payment, "alipay")
    world.advance(1)
    passed(world, 40)

    orders = world.charges(payment)
    assert ("wechat", "closed", 0) == orders[0]
    assert [order for order in orders if order[1] == "unpaid"] == [("alipay", "unpaid", 0)]
    shown = stored(world, payment)
    assert shown.attempt.client_params
    world.pays(out_trade_no(payment, shown.attempt.number))
    world.proven()
    assert stored(world, payment).status == "succeeded"


@deaths
def test_the_first_choice_is_lost(world, victims):
    """Whoever dies right after a tap: the payer taps again, and there is one order to pay."""
    payment = world.page()
    world.cut_at("wechat", LOSE_ANSWER, CREATE, world.dying(victims))
    world.choose(payment, "wechat")
    world.advance(1)
    passed(world, 40)

    again = world.chosen(payment, "wechat")

    assert again["attempt"] == "shown"
    assert [order[1] for order in world.charges(payment)].count("unpaid") == 1
    number = stored(world, payment).attempt.number
    world.pays(out_trade_no(payment, number))
    world.proven()
    assert [order[2] for order in world.charges(payment)].count(1) == 1


@deaths
def test_money_on_the_closed_order_goes_back(world, victims):
    """A channel that charges what it had closed: late, and returned; the payment goes on."""
    payment = world.page()
    world.chosen(payment, "wechat")
    world.chosen(payment, "alipay")
    world.crashed = not victims
    if victims:
        world.kill(*victims)
        world.crashed = True
        world.start()
    world.pays(out_trade_no(payment, 0), "pay_late")
    world.pays(out_trade_no(payment, 1))
    passed(world, 120)  # Nobody asks: the channel tells when it looks at its own clock again.

    world.proven()
    found = stored(world, payment)
    assert (found.status, found.has_stray, found.amount_refunded) == ("succeeded", True, 0)
    books = world.taken()[ACCOUNTS[0]][out_trade_no(payment, 0)]
    assert (books.charges, books.refunded_minor) == (1, 3800)


@deaths
def test_an_open_page_survives_everybody(world, victims):
    """Chosen or not, it closes at its expiry, confirmed."""
    untouched, chosen = world.page(), world.page()
    world.chosen(chosen, "alipay")
    world.crashed = True
    if victims:
        world.kill(*victims)
        world.start()

    world.advance(310)

    world.proven()
    assert {"closed"} == {stored(world, each).status for each in (untouched, chosen)}
    assert [("alipay", "closed", 0)] == world.charges(chosen)


# --- What a payer is told when nothing can begin --------------------------------------------------


def test_without_a_channel_the_page_waits(world):
    """The payer is told; when the channel is back, the same tap begins."""
    payment = world.page()
    world.kill(*LANES)
    world.advance(1)

    told = world.chosen(payment, "wechat")
    world.start()
    world.advance(1)

    assert (told["trouble"], told["status"]) == ("no_channel", "requires_payer")
    assert world.chosen(payment, "wechat")["attempt"] == "shown"


def test_a_lane_that_dies_while_it_is_asked_leaves_nobody_waiting(world):
    """The page is answered; nothing was begun that is not known."""
    payment = world.page()
    ack = world.choose(payment, "wechat")
    world.kill(*LANES)

    told = world.wait(ack, 10).body
    world.start()
    world.advance(40)

    assert told["status"] == "requires_payer"
    again = world.chosen(payment, "wechat")
    assert again["attempt"] == "shown"
    assert [order[1] for order in world.charges(payment)].count("unpaid") == 1


def test_a_blocked_payer_begins_nothing(world):
    """Risk knows them by the name that their wallet gives."""
    options = world.core.options
    blocked = replace(options.policy, blocked_payers=frozenset({TEST_PAYERS["alipay"]}))
    world.core.options = replace(options, policy=blocked)
    payment = world.page()

    assert world.chosen(payment, "alipay")["trouble"] == "refused"
    assert world.charges(payment) == []
    assert world.chosen(payment, "wechat")["attempt"] == "shown"


def test_choosing_has_an_end(world):
    """Whoever changes their mind for ever asks the shop for another code."""
    payment = world.page()
    for number in range(CHOICES_MAX):
        told = world.chosen(payment, WALLETS[number % 2])
        assert (told["trouble"], told["attempt"]) == (None, "shown")

    assert world.chosen(payment, WALLETS[CHOICES_MAX % 2])["trouble"] == "too_many"
    unpaid = [order for order in world.charges(payment) if order[1] == "unpaid"]
    assert len(unpaid) == 1


def test_a_page_that_is_over_says_so(world):
    """Paid or expired, no tap begins anything."""
    paid, expired = world.page(), world.page()
    world.chosen(paid, "wechat")
    world.pays(out_trade_no(paid, 0))
    world.advance(400)

    assert world.chosen(paid, "alipay")["trouble"] == "over"
    assert world.chosen(expired, "alipay")["trouble"] == "over"
    assert [("wechat", "paid", 1)] == world.charges(paid)


def test_another_browser_sees_no_parameters(world):
    """What starts a wallet is for the browser whose payer chose it."""
    payment = world.page()
    mine = world.chosen(payment, "wechat")

    theirs = world.view(payment)

    assert mine["client_params"]
    assert (theirs["client_params"], theirs["mine"], theirs["attempt"]) == (None, False, "shown")
