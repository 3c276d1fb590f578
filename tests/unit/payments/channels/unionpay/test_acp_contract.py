"""ACP as a contract of its own: another merchant number, another key, and how it is connected to.

Two sandboxes, each with keys of its own: one takes the aggregated interface, the other one ACP. A
connector that mixed up who it is would be refused by the one or the other.
"""

from random import Random
from urllib.parse import parse_qs

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from payments.channels.base import Approved, Awaiting
from payments.channels.kinds import Account, BadCredentials, Wires, make
from payments.channels.sandbox.app import SandboxSettings, serve
from payments.channels.unionpay.acp import BACK, QUERY
from payments.channels.unionpay.exchange import UnionpaySettings
from payments.channels.unionpay.identity import SIGNER_NAME, Identity
from payments.channels.unionpay.sandbox import UnionpaySandbox
from payments.clock import SystemClock
from payments.payment import Way

ACP_MERCHANT = "777290058199002"


class Fork:
    """The way out: what is ACP's goes to the second sandbox. `sent`: the messages, by path."""

    def __init__(self, http, acp_url):
        self._http = http
        self._acp_url = acp_url
        self.sent = []

    async def send(self, request):
        for path in (BACK, QUERY):
            if request.url.endswith(path):
                fields = parse_qs(request.body.decode(), strict_parsing=True)
                self.sent.append({name: values[0] for name, values in fields.items()})
                request = msgspec.structs.replace(request, url=self._acp_url + path)
                break
        else:
            self.sent.append(msgspec.json.decode(request.body))
        return await self._http.send(request)


@pytest.fixture(scope="module")
def second_identity():
    """ACP's: another merchant, who has another key and certificate."""
    made = Identity.open(None, Random(2), SystemClock().real_ms())
    made.mer_id = ACP_MERCHANT
    return made


@pytest.fixture
async def acp(second_identity):
    """The second sandbox, served."""
    box = UnionpaySandbox(SandboxSettings(), SystemClock(), Random(4), second_identity)
    served = await serve(box)
    yield box, served.url
    await served.stop()


def an_account(bay, box, **more):
    """As the gateway would read it from settings and files."""
    json, acp = bay.sandbox.credentials(), box.credentials()
    ids = {
        "serv_prov_id": json["serv_prov_id"],
        "mer_id": json["mer_id"],
        "cert_id": acp["cert_id"],
        "term_id": "A1B2C3D4",
        "access_type": "2",
        "acp_mer_id": ACP_MERCHANT,
    }
    keys = {
        "merchant_private_key": json["merchant_private_key_pem"].encode(),
        "acp_private_key": acp["merchant_private_key_pem"].encode(),
        "platform_certificate": acp["platform_certificate_pem"].encode(),
    }
    return Account(
        name="unionpay",
        base_url=bay.served.url,
        notify_url=bay.inbox.url,
        ids={**ids, **more.pop("ids", {})},
        keys={**keys, **more.pop("keys", {})},
        named_keys={"current": json["platform_public_key_pem"].encode()},
        names=(SIGNER_NAME,),
        pay_timeout_s=30,
        ask_timeout_s=30,
    )


def connected(bay, acp, **more):
    box, url = acp
    fork = Fork(bay.http, url)
    channel = make(
        "unionpay", an_account(bay, box, **more), Wires(fork, bay.pool, bay.clock, Random(5))
    )
    return channel, fork.sent


async def test_each_side_is_told_its_own_merchant(bay, acp):
    """Paid on both, asked about on both: each signature counts where it belongs."""
    channel, sent = connected(bay, acp)
    till, code = bay.order(number="N0000001"), bay.order(number="N0000002", way=Way.QR)

    paid = await channel.pay(till)
    shown = await channel.pay(code)
    box, _ = acp
    (order,) = box.books.all_with("N0000002")
    box.engine.act(order, "pay")
    scanned = await channel.inquire(bay.about(code))

    assert isinstance(paid, Approved)
    assert isinstance(shown, Awaiting)
    assert ("N0000002", 3800) == (scanned.out_trade_no, scanned.amount)
    by_json, apply, query = sent
    assert (bay.sandbox.identity.mer_id, "A1B2C3D4") == (by_json["merId"], by_json["termId"])
    assert (ACP_MERCHANT, "A1B2C3D4", "2") == tuple(
        apply[name] for name in ("merId", "termId", "accessType")
    )
    assert (ACP_MERCHANT, "2") == (query["merId"], query["accessType"])


async def test_the_other_sides_key_is_refused_at_acp(bay, acp):
    """And so is the other side's merchant: neither makes an order there."""
    ours = bay.sandbox.credentials()["merchant_private_key_pem"].encode()
    wrong_key, _ = connected(bay, acp, keys={"acp_private_key": ours})
    wrong_merchant, _ = connected(bay, acp, ids={"acp_mer_id": ""})

    outcomes = [await each.pay(bay.order(way=Way.QR)) for each in (wrong_key, wrong_merchant)]

    assert not [each for each in outcomes if isinstance(each, Approved | Awaiting)]
    assert [] == acp[0].books.all_with(bay.order().out_trade_no)


async def test_a_notice_of_acp_names_acps_merchant(bay, acp):
    """One that names the other contract's is nobody's order here."""
    channel, _ = connected(bay, acp)
    code = bay.order(number="N0000003", way=Way.QR)
    await channel.pay(code)
    bay.inbox.hear = channel.hear
    box, _ = acp
    (order,) = box.books.all_with("N0000003")
    box.engine.act(order, "pay")

    await bay.inbox.wait(1)

    (heard,) = bay.inbox.heard
    assert ("N0000003", 200) == (heard.notice.out_trade_no, heard.answer.status)


def test_whose_number_it_is():
    """One at ACP for all, or the same as everywhere."""
    words = {"serv_prov_id": "s", "mer_id": "m", "base_url": "", "acp_url": "", "notify_url": ""}
    both = UnionpaySettings(**words, sub_merchants={"mch_1": "own"})
    apart = UnionpaySettings(**words, sub_merchants={"mch_1": "own"}, acp_mer_id="acp")

    assert ("own", "m") == (both.acp_mer_id_of("mch_1"), both.acp_mer_id_of("mch_2"))
    assert ("acp", "acp") == (apart.acp_mer_id_of("mch_1"), apart.acp_mer_id_of("mch_2"))
    assert [True, True, False] == [both.is_ours_at_acp(each) for each in ("own", "m", "acp")]
    assert [False, False, True] == [apart.is_ours_at_acp(each) for each in ("own", "m", "acp")]


async def test_a_key_that_is_none_is_told_at_the_start(bay, acp):
    """By its account, never by its content."""
    strange = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    with pytest.raises(BadCredentials, match="RSA"):
        connected(bay, acp, keys={"acp_private_key": strange})
    with pytest.raises(BadCredentials, match="unionpay: a key of unionpay is none"):
        connected(bay, acp, keys={"acp_private_key": b"no key"})
