"""Golden bytes of the messages about reported payments, as `test_messages.py` has them."""

from typing import get_args

import msgspec
import pytest

from actors.messages import decoder, encoder
from actors.reported_messages import ReportedMessage, ReportPayment, ReportRefund
from payments.splitting.terms import Part, Terms

SAMPLES = (
    ReportPayment(
        1, "pay_1", "mch_1", b"k", b"f", 7, 8, "order-1", -9, "elsewhere", "T1", b"t", 3800, "cny",
        3700, 14, 10, "external", "wechat", "sto_1", "trm_1", "Li", "noodles", "bill-1",
        {"a": "b"}, Terms((Part("rcv_1", 500),)),
    ),
    ReportRefund(
        2, "rfd_1", "mch_1", "pay_1", b"k", b"f", 7, 8, 1900, 11, "R1", "cold", {"a": "b"},
    ),
)  # fmt: skip

GOLDEN = (
    "91dc001bcc9601a57061795f31a56d63685f31c4016bc401660708a76f726465722d31f7a9656c7365776865"
    "7265a25431c40174cd0ed8a3636e79cd0e740e0aa865787465726e616ca6776563686174a573746f5f31a574"
    "726d5f31a24c69a76e6f6f646c6573a662696c6c2d3181a161a162949195a57263765f31cd01f4c090c2a36e"
    "6574a86d65726368616e74c0",
    "919ecc9702a57266645f31a56d63685f31a57061795f31c4016bc401660708cd076c0ba25231a4636f6c6481"
    "a161a162",
)

TAGS = {ReportPayment: 150, ReportRefund: 151}


@pytest.mark.parametrize(("sample", "golden"), list(zip(SAMPLES, GOLDEN, strict=True)))
def test_a_message_is_these_bytes(sample, golden):
    """Both ways: what we send, and what an older release sent."""
    assert golden == encoder.encode([sample]).hex()
    assert [sample] == decoder.decode(bytes.fromhex(golden))


def test_every_message_has_its_tag_and_a_sample():
    """A new message takes a new tag; no tag is ever used for something else."""
    assert set(get_args(ReportedMessage)) == set(TAGS) == {type(sample) for sample in SAMPLES}
    assert TAGS == {kind: kind.__struct_config__.tag for kind in TAGS}


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_a_newer_release_adds_at_the_end_is_passed_over(sample):
    """An upgrade is box by box: the older one must read the newer one's messages."""
    (packed,) = msgspec.msgpack.decode(encoder.encode([sample]))

    assert [sample] == decoder.decode(msgspec.msgpack.encode([[*packed, "new"]]))
