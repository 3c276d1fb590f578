"""The audit of the way home: which claims must have an entry once they wait no longer."""

import apsw
import pytest
from msgspec.msgpack import encode

from home_payouts import made
from payments.clearing.batch import Batch, BatchState
from payments.clearing.netting import Claim, Netted, Totals
from payments.settlement.explained import claims
from payments.storage.audit import HomeAudit
from payments.storage.migrate import Stamp, prepare

MERCHANT, BATCH = made("mch", 1, 700, "m"), made("bat", 1, 700, "b")
RELEASED = Claim("", 0, 0, ((MERCHANT, 50),), 0)
OWED = Claim("wx-1", 300, 0, ((MERCHANT, 300),), 20261128)


@pytest.mark.parametrize(("owed", "are_missed"), [([RELEASED], 0), ([OWED, RELEASED], 1)])
def test_only_a_claim_that_nobody_owes_may_be_covered_without_an_entry(owed, are_missed):
    """What was held and let go has its money with a later credit: till then it moves nothing."""
    netted = Netted(Totals(), tuple(owed))
    batch = Batch(BATCH, MERCHANT, 20261128, 1, "cny", 1, state=BatchState.CLOSED, netted=netted)
    assert len(owed) == len(claims(batch))
    connection = apsw.Connection(":memory:")
    prepare(connection, Stamp(0, False, 0, 1))
    connection.execute(
        "INSERT INTO record (id, kind, owner, partition, body) VALUES (?, 'batch', ?, 700, ?)",
        (BATCH, MERCHANT, encode(batch)),
    )

    found = [each for each in HomeAudit().file(connection).complaints() if "lacks" in each]

    assert are_missed == len(found)
