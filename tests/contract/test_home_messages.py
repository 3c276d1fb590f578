"""Golden bytes of the messages about the way home of the money, as `test_messages.py` has them."""

from typing import get_args

import msgspec
import pytest

from actors.adjusting_messages import Adjust, Adjusted, TellNotices, ToldNotices
from actors.home_messages import (
    AskBank,
    BankSaid,
    BankSaidTaken,
    Carry,
    ClaimRows,
    CreditMatched,
    HomeAsk,
    HomeMessage,
    Instruct,
    Land,
    Landed,
    MatchCredit,
    ReadClaims,
)
from actors.messages import decoder, encoder
from payments.clearing.netting import Claim
from payments.reconciliation.adjustment import Adjustment
from payments.reconciliation.differences import Act
from payments.reconciliation.notices import Notice
from payments.settlement.cover import Credit, Waiting
from payments.settlement.credited import Covered

CREDIT = Credit("custody:icbc:01", "wechat-1", "B1", 3792, 1000, 20260302)
CLAIM = Claim("wechat-1", 3800, 14, (("mch_1", 3286), ("rcv_1", 500)), 20260302)
ADJUSTMENT = Adjustment(
    "rci_1", "wechat", Act.SUSPENSE, "cny",
    (("channel:wechat:receivable#7", 100), ("suspense:wechat#7", -100)), "key_1", "key_2", 9,
)  # fmt: skip

SAMPLES = (
    HomeAsk(
        1, "withdrawal.create", "mch_1", "key_1", ("maker",), "wdr_1", "wdr_2", b"{}",
        {"limit": "1"}, b"k", b"f", 7, 8, "mch_1",
    ),
    Instruct(
        2, "ins_1", "TW1", 3286, "cny", "Lao Wang", "6222", "icbc", "custody:icbc:01", 9,
        True,
    ),
    AskBank(3, "ins_1", "TW1", 3286),
    Carry(4, "bat_1", "I", 1, "rcv_1", 500, "cny", "custody:icbc:01"),
    ClaimRows(5, (Waiting("cvr_1", "bat_1", "mch_1", CLAIM),), True, (Covered("cvr_2", 9, 1),)),
    CreditMatched(6, ("cvr_1",), (("cvr_2", "too little"),)),
    BankSaid(7, "ins_1", "paid", "B2", "AC04"),
    BankSaidTaken(8),
    ReadClaims(9, "wechat-1", 20261121, "B1"),
    MatchCredit(10, CREDIT, (("cvr_1", 8),)),
    Land(11, "bat_1", "I", 1, "rcv_1", 500, "cny", "custody:icbc:01"),
    Landed(12, "bat_1"),
    Adjust(13, ADJUSTMENT),
    Adjusted(14, "another"),
    TellNotices(15, (Notice("mch_1", "rci_1", "reconciliation.opened", 9, b"{}"),)),
    ToldNotices(16),
)  # fmt: skip

GOLDEN = (
    "919f6e01b17769746864726177616c2e637265617465a56d63685f31a56b65795f3191a56d616b6572a57764"
    "725f31a57764725f32c4027b7d81a56c696d6974a131c4016bc401660708a56d63685f31",
    "919c7802a5696e735f31a3545731cd0cd6a3636e79a84c616f2057616e67a436323232a469636263af637573"
    "746f64793a696362633a303109c3",
    "91957903a5696e735f31a3545731cd0cd6",
    "91997a04a56261745f31a14901a57263765f31cd01f4a3636e79af637573746f64793a696362633a3031",
    "91957b059194a56376725f31a56261745f31a56d63685f3195a87765636861742d31cd0ed80e9292a56d6368"
    "5f31cd0cd692a57263765f31cd01f4ce013525cec39193a56376725f320901",
    "91947c0691a56376725f319192a56376725f32aa746f6f206c6974746c65",
    "9196cc8207a5696e735f31a470616964a24232a441433034",
    "9192cc8308",
    "9195cc8409a87765636861742d31ce01352901a24231",
    "9194cc850a96af637573746f64793a696362633a3031a87765636861742d31a24231cd0ed0cd03e8ce013525"
    "ce9192a56376725f3108",
    "9199cc860ba56261745f31a14901a57263765f31cd01f4a3636e79af637573746f64793a696362633a3031",
    "9193cc870ca56261745f31",
    "9193cc910d98a57263695f31a6776563686174a873757370656e7365a3636e799292bb6368616e6e656c3a77"
    "65636861743a72656365697661626c6523376492b173757370656e73653a7765636861742337d09ca56b6579"
    "5f31a56b65795f3209",
    "9193cc920ea7616e6f74686572",
    "9193cc930f9195a56d63685f31a57263695f31b57265636f6e63696c696174696f6e2e6f70656e656409c4027b7d",
    "9192cc9410",
)

TAGS = {
    HomeAsk: 110,
    Instruct: 120,
    AskBank: 121,
    Carry: 122,
    ClaimRows: 123,
    CreditMatched: 124,
    BankSaid: 130,
    BankSaidTaken: 131,
    ReadClaims: 132,
    MatchCredit: 133,
    Land: 134,
    Landed: 135,
    Adjust: 145,
    Adjusted: 146,
    TellNotices: 147,
    ToldNotices: 148,
}


@pytest.mark.parametrize(("sample", "golden"), list(zip(SAMPLES, GOLDEN, strict=True)))
def test_a_message_is_these_bytes(sample, golden):
    """Both ways: what we send, and what an older release sent."""
    assert golden == encoder.encode([sample]).hex()
    assert [sample] == decoder.decode(bytes.fromhex(golden))


def test_every_message_has_its_tag_and_a_sample():
    """A new message takes a new tag; no tag is ever used for something else."""
    assert set(get_args(HomeMessage)) == set(TAGS) == {type(sample) for sample in SAMPLES}
    assert TAGS == {kind: kind.__struct_config__.tag for kind in TAGS}


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_a_newer_release_adds_at_the_end_is_passed_over(sample):
    """An upgrade is box by box: the older one must read the newer one's messages."""
    (packed,) = msgspec.msgpack.decode(encoder.encode([sample]))

    assert [sample] == decoder.decode(msgspec.msgpack.encode([[*packed, "new"]]))


def test_a_question_of_an_older_release_has_no_amount():
    """As its shard sent it, before the amount was asked for."""
    older = bytes.fromhex("91947903a5696e735f31a3545731")

    assert [AskBank(3, "ins_1", "TW1", 0)] == decoder.decode(older)


def test_older_boxes_neither_ask_nor_tell_what_a_credit_covered():
    """As they sent it, before a shard kept that."""
    asked = bytes.fromhex("9194cc8409a87765636861742d31ce01352901")
    told = bytes.fromhex("91947b0590c3")

    assert [ReadClaims(9, "wechat-1", 20261121, "")] == decoder.decode(asked)
    assert [ClaimRows(5, (), True, ())] == decoder.decode(told)
