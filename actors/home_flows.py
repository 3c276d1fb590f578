"""Which flows of the way home a shard has: they register at its desk, each in one line here."""

from actors.adjusting import Adjusting
from actors.carrying import Carrying
from actors.clearing import Clearing
from actors.clearing_asks import ClearingAsks
from actors.core import Core
from actors.covering import Covering
from actors.holding import Holding
from actors.home import HomeDesk
from actors.papers import Papers
from actors.parties import Parties
from actors.party_days import PartyDays
from actors.payouts import Payouts
from actors.receiver_payouts import ReceiverPayouts
from actors.store_days import StoreDays
from actors.telling import Telling
from actors.withdrawing import Withdrawing


def home_desk(core: Core) -> HomeDesk:
    """The desk with every flow of the way home registered."""
    desk = HomeDesk(core)
    parties = Parties(core)
    desk.reports(parties.numbers)
    carrying = Carrying(desk, parties)
    ClearingAsks(desk, Clearing(desk, parties, carrying))
    Covering(desk, parties, carrying)
    Holding(desk, parties)
    payouts = Payouts(desk, parties)
    ReceiverPayouts(parties, payouts, Withdrawing(desk, parties, payouts))
    Adjusting(desk)
    Papers(desk)
    PartyDays(desk)
    StoreDays(desk)
    Telling(desk)
    return desk
