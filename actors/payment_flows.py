"""Which flows go on from payments by the shard's desk: reported ones, what is held or divided."""

from actors.dividing import Dividing
from actors.escrowing import Escrowing
from actors.home import HomeDesk
from actors.opening import Opening
from actors.paying import Paying
from actors.refunding import Refunding
from actors.reporting import Reporting
from actors.share_news import HearingOfShares
from actors.taking_back import TakingBack


def of_payments(desk: HomeDesk, opening: Opening, paying: Paying, refunding: Refunding) -> None:
    """Register them, each in one line."""
    Reporting(desk.core, opening, paying, refunding).register(desk)
    Escrowing(desk, paying)
    dividing = Dividing(desk, paying)
    TakingBack(dividing, desk.core, refunding)
    HearingOfShares(desk, dividing, refunding)
