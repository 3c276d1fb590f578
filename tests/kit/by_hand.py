"""Entries of a ledger, booked by hand, for tests of what is read from them."""

from payments import bookings
from payments.ledger import GENESIS, Entry, row_of, unpack_postings
from payments.testing import NOW_MS, an_id


class Books:
    """Entries of one partition, booked one after the other."""

    def __init__(self):
        self.rows = []
        self._chain = GENESIS

    def book(self, source, postings, *, leg="P", at_ms=NOW_MS, currency="cny"):
        """Book postings about `source`; the entry's id."""
        identifier = f"ent_{source[-24:]}{leg}"
        no = len(self.rows) + 1
        entry = Entry(identifier, source, 17, currency, at_ms, tuple(postings))
        self.rows.append(row_of(entry, no, no, self._chain))
        self._chain = self.rows[-1][8]
        return identifier

    def sale(self, merchant, settle=3800, fee=14, *, source=None, at_ms=NOW_MS):
        source = source or an_id("pay")
        postings = bookings.payment_booked("simulated-1", merchant, 17, settle, fee)
        return self.book(source, postings, at_ms=at_ms)

    def refund(self, merchant, settle, fee, *, source=None, at_ms=NOW_MS):
        source = source or an_id("rfd")
        postings = bookings.refund_booked("simulated-1", merchant, 17, settle, fee)
        return self.book(source, postings, leg="R", at_ms=at_ms)

    @staticmethod
    def postings_of(row):
        return unpack_postings(row[7])
