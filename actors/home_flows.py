"""Which flows of the way home a shard has: they register at its desk, each in one line here."""

from actors.adjusting import Adjusting
from actors.carrying import Carrying
from actors.clearing import Clearing
from actors.clearing_asks import ClearingAsks
from actors.core import Core
from actors.home import HomeDesk
from actors.parties import Parties


def home_desk(core: Core) -> HomeDesk:
    """The desk with every flow of the way home registered."""
    desk = HomeDesk(core)
    parties = Parties(core)
    carrying = Carrying(desk, parties)
    ClearingAsks(desk, Clearing(desk, parties, carrying))
    Adjusting(desk)
    return desk
