"""Messages about divided money are the bytes that they were: boxes are upgraded one by one."""

from typing import get_args

import msgspec
import pytest

from actors.messages import decoder, encoder
from actors.sharing_messages import LaneShare, LaneShared, ShareNews, SharingMessage
from payments.channels.sharing import (
    Absent,
    Divided,
    Holder,
    NotDone,
    Portion,
    Registered,
    Returned,
    SharingOrder,
    SharingReturn,
    Unclear,
)

HOLDER = Holder("MERCHANT_ID", "19", "STORE", "x")
PART = Portion("MERCHANT_ID", "19", 5, "success")
ORDER = SharingOrder("T1", "N1", "mch_1", (PART,), True, "d")
BACK = SharingReturn("N1", "R1", "mch_1", "19", 5, "d")

SAMPLES = [
    (
        LaneShare(0, "register", "dvn_1", "mch_1", HOLDER),
        "91982e00a87265676973746572a564766e5f31a56d63685f3194ab4d45524348414e545f4944a23139a553544f5245a178c0c0",
    ),
    (
        LaneShare(0, "share", "dvn_1", "mch_1", None, ORDER),
        "91982e00a57368617265a564766e5f31a56d63685f31c097a25431a24e31a56d63685f319195ab4d45524348414e545f4944a2313905a773756363657373a0c3a16400c0",
    ),
    (
        LaneShare(0, "take_back", "dvn_1", "mch_1", back=BACK),
        "91982e00a974616b655f6261636ba564766e5f31a56d63685f31c0c096a24e31a25231a56d63685f31a2313905a164",
    ),
    (
        LaneShared(0, "register", "dvn_1", Registered("19"), HOLDER),
        "91973700a87265676973746572a564766e5f319203a2313994ab4d45524348414e545f4944a23139a553544f5245a178a0",
    ),
    (
        LaneShared(0, "share", "dvn_1", Divided("N1", (PART,), True), None, "N1"),
        "91973700a57368617265a564766e5f319401a24e319195ab4d45524348414e545f4944a2313905a773756363657373a0c3c0a24e31",
    ),
    (
        LaneShared(0, "share", "dvn_1", NotDone("NO_AUTH"), None, "N1"),
        "91973700a57368617265a564766e5f319304a74e4f5f41555448c3c0a24e31",
    ),
    (
        LaneShared(0, "share", "dvn_1", Absent(), None, "N1"),
        "91973700a57368617265a564766e5f319105c0a24e31",
    ),
    (
        LaneShared(0, "share", "dvn_1", Unclear("?"), None, "N1"),
        "91973700a57368617265a564766e5f319206a13fc0a24e31",
    ),
    (
        LaneShared(0, "back", "dvn_1", Returned("R1", 5, "pending"), None, "N1"),
        "91973700a46261636ba564766e5f319502a2523105a770656e64696e67a0c0a24e31",
    ),
    (ShareNews(0, "N1"), "91933800a24e31"),
]


@pytest.mark.parametrize(("sample", "golden"), SAMPLES)
def test_a_message_is_these_bytes(sample, golden):
    assert golden == encoder.encode([sample]).hex()
    assert [sample] == decoder.decode(bytes.fromhex(golden))


@pytest.mark.parametrize(("size", "end"), [("97", ""), ("98", "c0")])
def test_a_question_of_an_older_release_is_understood(size, end):
    """It had no returns; later no word of what was settled."""
    golden = (
        f"91{size}2e00a57368617265a564766e5f31a56d63685f31c096a25431a24e31a56d63685f319195ab4d455243"
        f"48414e545f4944a2313905a773756363657373a0c3a164{end}"
    )

    assert [SAMPLES[1][0]] == decoder.decode(bytes.fromhex(golden))


@pytest.mark.parametrize("sample", [sample for sample, _ in SAMPLES])
def test_what_a_newer_release_adds_at_the_end_is_passed_over(sample):
    (packed,) = msgspec.msgpack.decode(encoder.encode([sample]))

    assert [sample] == decoder.decode(msgspec.msgpack.encode([[*packed, "new"]]))


def test_every_message_has_its_tag_and_a_sample():
    tags = {kind: kind.__struct_config__.tag for kind in get_args(SharingMessage)}
    assert {LaneShare: 46, LaneShared: 55, ShareNews: 56} == tags
    assert set(tags) == {type(sample) for sample, _ in SAMPLES}
