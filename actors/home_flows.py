"""Which flows of the way home a shard has: they register at its desk, each in one line here."""

from actors.adjusting import Adjusting
from actors.core import Core
from actors.home import HomeDesk


def home_desk(core: Core) -> HomeDesk:
    """The desk with every flow of the way home registered."""
    desk = HomeDesk(core)
    Adjusting(desk)
    return desk
