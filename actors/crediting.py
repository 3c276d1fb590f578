"""Which claims each credit has covered: noted with the cover, told to a box that asks."""

from collections.abc import Iterator
from typing import Final

from actors.core import Core
from actors.home_messages import ClaimRows, ReadClaims
from actors.link import Link
from actors.record_kinds import CREDITED
from payments.settlement.credited import TOGETHER, Covered, Credited, credited_id
from payments.settlement.entries import home_of

COVERED_MAX: Final = 500
"""Covered claims in one ClaimRows: they must fit into a frame."""


class Crediting:
    """The memory of a shard's credits."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._last: dict[str, str] = {}
        """Credit -> its record that is not full yet, since this shard was opened."""

    def note(self, credit: str, merchant: str, covered: Covered) -> None:
        """In the commit of the cover. `credit`: the bank's reference."""
        records = self._core.records
        identifier = self._last.get(credit)
        known = None if identifier is None else records.get(identifier, Credited)
        if identifier is None or known is None or len(known.covered) >= TOGETHER:
            identifier, known = credited_id(credit, covered.claim), Credited(())
            self._last = {credit: identifier}
        value = Credited((*known.covered, covered))
        records.put(CREDITED, identifier, credit, home_of(merchant), value, None)

    def tell(self, link: Link, message: ReadClaims) -> Iterator[None]:
        """Everything that the credit has covered here, read some at a time."""
        found: list[Covered] = []
        no = 0
        while some := self._core.records.of(CREDITED, message.credit, after=no):
            for kept in some:
                found += kept.value.covered
            no = some[-1].no
            yield
        for kept in self._core.records.fresh(CREDITED, message.credit):
            found += kept.value.covered
        for at in range(0, max(1, len(found)), COVERED_MAX):
            rows = tuple(found[at : at + COVERED_MAX])
            is_last = at + COVERED_MAX >= len(found)
            self._core.answer(link, ClaimRows(message.ref, (), is_last, rows))
