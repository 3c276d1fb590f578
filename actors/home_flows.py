"""Which flows of the way home a shard has: they register at its desk, each in one line here."""

from actors.adjusting import Adjusting
from actors.carrying import Carrying
from actors.core import Core
from actors.home import HomeDesk
from actors.parties import Parties


def home_desk(core: Core) -> HomeDesk:
    """The desk with every flow of the way home registered."""
    desk = HomeDesk(core)
    parties = Parties(core)
    Carrying(desk, parties)
    Adjusting(desk)
    return desk
