"""Every message on a link, byte for byte: boxes of two releases talk to each other in an upgrade.

A sample sets every field. What stands here was sent by a release: bytes may grow at the end of a
message and never change before it.
"""

from typing import get_args

import msgspec
import pytest

from actors.event_messages import (
    CourierAsk,
    EventRows,
    EventsWaiting,
    EventTail,
    FetchEvents,
    TailEvents,
)
from actors.home_messages import HomeMessage
from actors.messages import (
    Act,
    Answer,
    CallbackAnswered,
    CancelPayment,
    Changes,
    ClockQuiet,
    ClockSet,
    Control,
    Controlled,
    DirectoryAsk,
    HearCallback,
    Hello,
    LaneAct,
    LaneAsk,
    LaneBookList,
    LaneBooks,
    LaneCredit,
    LaneIdentify,
    LaneNotice,
    LanePay,
    LaneRefund,
    LaneReply,
    MakeRefund,
    Message,
    NoticeTaken,
    PageAsk,
    Pay,
    Ping,
    Pong,
    ReadBalances,
    ReadBooks,
    ReadList,
    ReadOne,
    ReadStatus,
    Refusal,
    Stats,
    Subscribe,
    decoder,
    encoder,
)
from actors.reported_messages import ReportedMessage
from actors.sharing_messages import SharingMessage
from payments.channels.base import (
    Approved,
    Awaiting,
    Book,
    Declined,
    Elsewhere,
    Known,
    Unknown,
    Unpaid,
)
from payments.clearing.terms import PayoutMode
from payments.payment import Discount
from payments.reference import (
    AccountStatus,
    Hold,
    Key,
    KeyOwner,
    KeyType,
    Merchant,
    MerchantStatus,
    PayoutTerms,
    Plate,
    PlateStatus,
    Receiver,
    ReceiverStatus,
    Record,
    SettlementAccount,
    SplitRule,
    SplitRuleStatus,
    Store,
    Terminal,
)
from payments.settlement.accounts import BankAccount
from payments.splitting.terms import Base, FeeBearer, Part, Terms, Tier

SAMPLES = (
    Hello("shard", "shard-0", 2, 3, 1, 1, 1, b"c" * 4, b"p" * 4),
    Pay(
        1,
        "pay_1",
        "mch_1",
        b"k",
        b"f",
        7,
        8,
        "A-1",
        3800,
        "cny",
        "barcode",
        5000,
        "wechat",
        "130000000000000000",
        b"a",
        "sto_1",
        "trm_1",
        "op",
        "tea",
        "ref",
        "t1",
        10,
        {"a": "b"},
        300,
        "openid",
        "sim",
        "https://example.org/",
        9,
        "static",
        Terms(
            (
                Part("rcv_1", 500),
                Part("rcv_2", None, 25_000),
                Part("rcv_3", tiers=(Tier(10_000, 0, 5), Tier(None, 9))),
                Part("rcv_4", remainder=True),
            ),
            Base.GROSS,
            FeeBearer.PRO_RATA,
            "spl_1",
        ),
        payer_ip="203.0.113.7",
    ),
    MakeRefund(
        2, "rfd_1", "mch_1", "pay_1", b"k", b"f", 7, 8, 100, 5000, "cold", {"a": "b"}, "sto_1"
    ),
    CancelPayment(3, "mch_1", "pay_1", "rfd_1", b"f", 7, 8, 5000, b"k", "sto_1"),
    ReadOne(4, ("mch_1",), "payment", "pay_1", 1000, "sto_1"),
    ReadList(5, "mch_1", "payment", 10, {"status": "failed"}, "pay_1", "pay_2"),
    Act(6, "mch_1", "pay_1", "pay"),
    ReadBooks(7, "sim", "N1"),
    ReadStatus(8, "stats"),
    ReadBalances(38, "receiver:rcv_1:"),
    PageAsk(31, "pay_1", "choose", "wechat", "code", "state", b"c", "wechat-1", 3000, "8.8.8.8"),
    Answer(9, 201, b"{}", True, 1),
    Refusal(10, "not_found", "no", "id", 1),
    LanePay(
        11,
        "N1",
        3800,
        "cny",
        "barcode",
        "mch_1",
        "wechat",
        "13",
        "tea",
        12,
        "openid",
        13,
        "192.0.2.1",
        "https://example.org/",
        "sto_1",
        "trm_1",
    ),
    LaneAsk(12, "inquire", "N1", 3800, "cny", "qr", "wechat", "mch_1", 13),
    LaneRefund(13, "refund", "N1", "R1", 100, 3800, "cny", "qr", "wechat", "mch_1", 13, 14),
    LaneAct(14, "N1", "pay"),
    LaneBooks(15),
    LaneIdentify(-3, "identify", "code", "state"),
    LaneReply(16, "N1", Approved("N1", 3800, "T1", 3300, 3600, (Discount("channel", 300),))),
    LaneReply(17, "N1", Declined("declined", "no", "X1", True)),
    LaneReply(18, "N1", Awaiting("code")),
    LaneReply(19, "N1", Unpaid("absent")),
    LaneReply(20, "N1", Unknown("no answer")),
    LaneReply(-3, "", Known("openid")),
    LaneReply(-5, "", Elsewhere("https://example.org/")),
    LaneNotice(21, "N1", Unknown("no answer"), "R1"),
    NoticeTaken(22),
    LaneCredit("sim", 0, 64, "closed"),
    LaneBookList(23, (Book("N1", 3800, 100, "paid", 1),), True, "away"),
    HearCallback(29, "POST", "a=1", {"x-sign": "s"}, b"body"),
    CallbackAnswered(30, 200, "text/plain", b"success"),
    Subscribe("shard-0", 5),
    Changes(
        6,
        (
            Merchant(
                "mch_1",
                1,
                "shop",
                MerchantStatus.ACTIVE,
                17,
                "plt",
                2,
                {"a": "b"},
                "default",
                PayoutTerms("D+1", 5, PayoutMode.MANUAL, Hold.REVIEW, 20_260_101, 20_260_201),
            ),
            Store("sto_1", "mch_1", "river", 120, "x", 2, {}),
            Terminal("trm_1", "mch_1", "sto_1", "till", 2, {}),
            Key(
                "key_1",
                KeyType.BEARER,
                KeyOwner.MERCHANT,
                "mch_1",
                b"s",
                ("*",),
                None,
                None,
                None,
                ("operator",),
                1,
                2,
                3,
                "k",
                False,
            ),
        ),
        True,
    ),
    Changes(
        7,
        (Plate("qrp_1", "mch_1", "sto_1", "counter", PlateStatus.DISABLED, 2, {"a": "b"}),),
        False,
    ),
    Changes(
        8,
        (
            Receiver("rcv_1", None, "saas", "rider", ReceiverStatus.DISABLED, 2, {"a": "b"}),
            SplitRule(
                "spl_1",
                "mch_1",
                (Part("rcv_1", 5),),
                Base.GROSS,
                FeeBearer.PRO_RATA,
                "sto_1",
                "delivery",
                "qr",
                20_261_201,
                20_261_231,
                SplitRuleStatus.DISABLED,
                2,
                {"a": "b"},
            ),
        ),
        True,
    ),
    Changes(
        9,
        (
            SettlementAccount(
                "acc_1",
                "mch_1",
                None,
                BankAccount("acc_1", "rcv_1", "Wang", "6222", "icbc", 1, "key_1", 2, "key_2", 2),
                AccountStatus.CONFIRMED,
                3,
                1,
                {"a": "b"},
            ),
        ),
        True,
    ),
    ClockSet(1, 1000),
    ClockQuiet(1, 2000),
    DirectoryAsk(
        24, "merchants.create", "key_1", "mch_1", "mch_2", b"{}", {"limit": "1"}, b"k", b"f", 7, 8
    ),
    Stats(25, "shard-0", {"live": 1.0}),
    Ping(26),
    Pong(27),
    Control(28, "drain", 5.0),
    Controlled(29, "shard-0"),
    TailEvents(33, 7, 1000),
    EventTail(34, 9, ((8, 3, "payment.succeeded", 5),)),
    FetchEvents(35, (8, 9), "evt_1", "pay_1"),
    EventRows(36, ((8, 2, 3, "evt_1", "payment.failed", 5, b"{}"),)),
    EventsWaiting(10),
    CourierAsk(
        37,
        "endpoints.create",
        "key_1",
        "mch_1",
        "saas",
        "whk_1",
        b"{}",
        {"limit": "1"},
        b"k",
        b"f",
        7,
        8,
    ),
)

GOLDEN = (
    "919a01a57368617264a773686172642d300203010101c40463636363c40470707070",
    "91dc00210a01a57061795f31a56d63685f31c4016bc401660708a3412d31cd0ed8a3636e79a7626172636f6465cd"
    "1388a6776563686174b2313330303030303030303030303030303030c40161a573746f5f31a574726d5f31a26f70"
    "a3746561a3726566a274310a81a161a162cd012ca66f70656e6964a373696db468747470733a2f2f6578616d706c"
    "652e6f72672f09a6737461746963949495a57263765f31cd01f4c090c295a57263765f32c0cd61a890c295a57263"
    "765f33c0c09293cd2710000593c00900c295a57263765f34c0c090c3a567726f7373a870726f5f72617461a57370"
    "6c5f31c0ab3230332e302e3131332e37",
    "919e0b02a57266645f31a56d63685f31a57061795f31c4016bc40166070864cd1388a4636f6c6481a161a162"
    "a573746f5f31",
    "919b0c03a56d63685f31a57061795f31a57266645f31c401660708cd1388c4016ba573746f5f31",
    "91970d0491a56d63685f31a77061796d656e74a57061795f31cd03e8a573746f5f31",
    "91980e05a56d63685f31a77061796d656e740a81a6737461747573a66661696c6564a57061795f31a57061795f32",
    "91970f06a56d63685f31a57061795f31a37061790000",
    "91941007a373696da24e31",
    "91931108a57374617473",
    "91931326af72656365697665723a7263765f313a",
    "919b121fa57061795f31a663686f6f7365a6776563686174a4636f6465a57374617465c40163a8776563686174"
    "2d31cd0bb8a7382e382e382e38",
    "91961e09ccc9c4027b7dc301",
    "91961f0aa96e6f745f666f756e64a26e6fa2696401",
    "91dc0012280ba24e31cd0ed8a3636e79a7626172636f6465a56d63685f31a6776563686174a23133a3746561"
    "0ca66f70656e69640da93139322e302e322e31b468747470733a2f2f6578616d706c652e6f72672fa573746f"
    "5f31a574726d5f31c2",
    "919a290ca7696e7175697265a24e31cd0ed8a3636e79a27172a6776563686174a56d63685f310d",
    "919d2a0da6726566756e64a24e31a2523164cd0ed8a3636e79a27172a6776563686174a56d63685f310d0e",
    "91942b0ea24e31a3706179",
    "91922c0f",
    "91952dfda86964656e74696679a4636f6465a57374617465",
    "91943210a24e319801a24e31cd0ed8a25431cd0ce4cd0e109192a76368616e6e656ccd012cc0",
    "91943211a24e319502a86465636c696e6564a26e6fa25831c3",
    "91943212a24e319403a4636f6465c0c0",
    "91943213a24e319204a6616273656e74",
    "91943214a24e319205a96e6f20616e73776572",
    "919432fda09206a66f70656e6964",
    "919432fba09207b468747470733a2f2f6578616d706c652e6f72672f",
    "91953315a24e319205a96e6f20616e73776572a25231",
    "91923416",
    "919535a373696d0040a6636c6f736564",
    "919536179195a24e31cd0ed864a47061696401c3a461776179",
    "9196501da4504f5354a3613d3181a6782d7369676ea173c404626f6479",
    "9195511eccc8aa746578742f706c61696ec40773756363657373",
    "91933ca773686172642d3005",
    "91943d06949ba86d65726368616e74a56d63685f3101a473686f70a661637469766511a3706c740281a161a1"
    "62a764656661756c7496a3442b3105a66d616e75616ca6726576696577ce01352505ce0135256998a573746f"
    "7265a573746f5f31a56d63685f31a5726976657278a178028097a87465726d696e616ca574726d5f31a56d63"
    "685f31a573746f5f31a474696c6c0280dc0011a36b6579a56b65795f31a6626561726572a86d65726368616e"
    "74a56d63685f31c4017391a12ac0c0c091a86f70657261746f72010203a16bc2a0c3",
    "91943d079198a871725f706c617465a57172705f31a56d63685f31a573746f5f31a7636f756e746572a86469"
    "7361626c65640281a161a162c2",
    "91943d08929aa87265636569766572a57263765f31c0a473616173a57269646572a864697361626c65640281"
    "a161a1629092c0c09eaa73706c69745f72756c65a573706c5f31a56d63685f319195a57263765f3105c090c2"
    "a567726f7373a870726f5f72617461a573746f5f31a864656c6976657279a27172ce01352951ce0135296fa8"
    "64697361626c65640281a161a162c3",
    "91943d099199b2736574746c656d656e745f6163636f756e74a56163635f31a56d63685f31c09aa56163635f"
    "31a57263765f31a457616e67a436323232a46963626301a56b65795f3102a56b65795f3202a9636f6e666972"
    "6d6564030181a161a162c3",
    "91933e01cd03e8",
    "91933f01cd07d0",
    "919c4018b06d65726368616e74732e637265617465a56b65795f31a56d63685f31a56d63685f32c4027b7d81"
    "a56c696d6974a131c4016bc401660708",
    "91944619a773686172642d3081a46c697665cb3ff0000000000000",
    "9192471a",
    "9192481b",
    "9194491ca5647261696ecb4014000000000000",
    "91934a1da773686172642d30",
    "91945a2107cd03e8",
    "91945b220991940803b17061796d656e742e73756363656564656405",
    "91955c23920809a56576745f31a57061795f31",
    "91935d249197080203a56576745f31ae7061796d656e742e6661696c656405c4027b7d",
    "91925e0a",
    "919d5f25b0656e64706f696e74732e637265617465a56b65795f31a56d63685f31a473616173a577686b5f31"
    "c4027b7d81a56c696d6974a131c4016bc401660708",
)

TAGS = {
    Act: 15,
    Answer: 30,
    CallbackAnswered: 81,
    CancelPayment: 12,
    Changes: 61,
    ClockQuiet: 63,
    ClockSet: 62,
    Control: 73,
    Controlled: 74,
    CourierAsk: 95,
    DirectoryAsk: 64,
    EventRows: 93,
    EventTail: 91,
    EventsWaiting: 94,
    FetchEvents: 92,
    HearCallback: 80,
    Hello: 1,
    LaneAct: 43,
    LaneAsk: 41,
    LaneBookList: 54,
    LaneBooks: 44,
    LaneCredit: 53,
    LaneIdentify: 45,
    LaneNotice: 51,
    LanePay: 40,
    LaneRefund: 42,
    LaneReply: 50,
    MakeRefund: 11,
    NoticeTaken: 52,
    PageAsk: 18,
    Pay: 10,
    Ping: 71,
    Pong: 72,
    ReadBalances: 19,
    ReadBooks: 16,
    ReadList: 14,
    ReadOne: 13,
    ReadStatus: 17,
    Refusal: 31,
    Stats: 70,
    Subscribe: 60,
    TailEvents: 90,
}


@pytest.mark.parametrize(("sample", "golden"), list(zip(SAMPLES, GOLDEN, strict=True)))
def test_a_message_is_these_bytes(sample, golden):
    """Both ways: what we send, and what an older release sent."""
    assert golden == encoder.encode([sample]).hex()
    assert [sample] == decoder.decode(bytes.fromhex(golden))


def test_every_message_has_its_tag_and_a_sample():
    """A new message takes a new tag; no tag is ever used for something else."""
    elsewhere = {*get_args(HomeMessage), *get_args(ReportedMessage), *get_args(SharingMessage)}
    assert set(get_args(Message)) - elsewhere == set(TAGS)
    assert TAGS == {kind: kind.__struct_config__.tag for kind in TAGS}
    assert len(TAGS) == len(set(TAGS.values()))
    assert set(TAGS) == {type(sample) for sample in SAMPLES}


def test_a_merchant_of_before_it_had_payout_terms_has_the_usual_ones():
    """As the release before wrote it, into the store of the directory too."""
    packed = msgspec.msgpack.encode(
        ["merchant", "mch_1", 1, "shop", "active", 17, "plt", 2, {"a": "b"}, "default"]
    )

    read = msgspec.msgpack.decode(packed, type=Record)
    assert read.payout == PayoutTerms("T+1", 0, PayoutMode.AUTO, Hold.NONE, None, None)


def test_a_success_of_before_it_had_the_channels_time_has_none():
    """As the release before sent it: the bytes are that release's."""
    packed = "91943210a24e319701a24e31cd0ed8a25431cd0ce4cd0e109192a76368616e6e656ccd012c"
    (reply,) = decoder.decode(bytes.fromhex(packed))

    assert reply.outcome == Approved("N1", 3800, "T1", 3300, 3600, (Discount("channel", 300),))
    assert reply.outcome.channel_at is None


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_a_newer_release_adds_at_the_end_is_passed_over(sample):
    """An upgrade is box by box: the older one must read the newer one's messages."""
    (packed,) = msgspec.msgpack.decode(encoder.encode([sample]))

    assert [sample] == decoder.decode(msgspec.msgpack.encode([[*packed, "new"]]))
