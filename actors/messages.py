"""Every message that crosses a link: tagged arrays (msgspec), append-only, with defaults.

Rules: never reorder, rename the meaning of, or remove a field; new fields go last with a default;
a new message takes a new tag (golden bytes: `tests/contract`). `ref`: ties question and answer.
"""

from typing import Final

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from actors.event_messages import EventMessage
from actors.home_messages import HomeMessage
from actors.reported_messages import ReportedMessage
from actors.sharing_messages import SharingMessage
from payments.channels.base import Book, Outcome
from payments.reference import Record
from payments.splitting.terms import Terms

PROTOCOL_MIN: Final = 1
PROTOCOL_MAX: Final = 1


# --- handshake (both directions, before anything else) --------------------------------------


class Hello(Struct, array_like=True, tag=1, gc=False):
    """Who is speaking. `proof`: HMAC over the other side's challenge with the cluster secret."""

    role: str
    name: str
    incarnation: int
    epoch: int
    protocol_min: int
    protocol_max: int
    map_version: int
    challenge: bytes
    proof: bytes = b""


# --- front door -> shard ---------------------------------------------------------------------


class Pay(Struct, array_like=True, tag=10, gc=False):
    """Create a payment. The id is minted by the front door: a re-sent command is the same one.

    `nonce`: 63-bit digest of the signature's nonce (0: unsigned), `nonce_at` its `created` in
    seconds. `auth_code` stays in memory only.
    `order_hash`: the store's index of the order number (`Digests.order`). `wait_ms`: how long
    the answer may be held.
    """

    ref: int
    id: str
    merchant: str
    key_digest: bytes
    fingerprint: bytes
    nonce: int
    nonce_at: int
    order_no: str
    amount: int
    currency: str
    way: str
    wait_ms: int
    wallet: str | None = None
    auth_code: str | None = None
    auth_digest: bytes | None = None
    store: str | None = None
    terminal: str | None = None
    operator: str | None = None
    subject: str | None = None
    order_ref: str | None = None
    table: str | None = None
    tip_amount: int = 0
    metadata: dict[str, str] = {}
    expires_in: int | None = None
    payer: str | None = None
    channel_hint: str | None = None
    return_url: str | None = None
    order_hash: int = 0
    entry: str = "api"
    split: Terms | None = None
    """What the request says of splitting; None: nothing, so that the merchant's rules apply."""
    escrow_at: int | None = None
    """Hold the merchant's own part until this business ms; None: do not hold it."""
    payer_ip: str | None = None
    """Stays in memory only, like `auth_code`."""


class MakeRefund(Struct, array_like=True, tag=11, gc=False):
    """Refund a payment; `amount` None means all that is left. `store`: the only one allowed."""

    ref: int
    id: str
    merchant: str
    payment: str
    key_digest: bytes
    fingerprint: bytes
    nonce: int
    nonce_at: int
    amount: int | None
    wait_ms: int
    reason: str | None = None
    metadata: dict[str, str] = {}
    store: str | None = None


class CancelPayment(Struct, array_like=True, tag=12, gc=False):
    """Cancel a payment. `refund_id`: minted ahead, in case a succeeded one must be refunded."""

    ref: int
    merchant: str
    payment: str
    refund_id: str
    fingerprint: bytes
    nonce: int
    nonce_at: int
    wait_ms: int
    key_digest: bytes | None = None
    store: str | None = None


class ReadOne(Struct, array_like=True, tag=13, gc=False):
    """Read one: kind payment, refund, timeline or splits. `wait_ms`: until its status changes."""

    ref: int
    merchants: tuple[str, ...]
    kind: str
    id: str
    wait_ms: int = 0
    store: str | None = None


class ReadList(Struct, array_like=True, tag=14, gc=False):
    """List objects of one merchant: kind payment or refund, filters as text."""

    ref: int
    merchant: str
    kind: str
    limit: int
    filters: dict[str, str] = {}
    starting_after: str | None = None
    ending_before: str | None = None


class Act(Struct, array_like=True, tag=15, gc=False):
    """Test helper: the payer acts on a code. `verb`: pay, decline, pay_late, pay_twice."""

    ref: int
    merchant: str
    payment: str
    verb: str
    nonce: int = 0
    nonce_at: int = 0


class ReadBooks(Struct, array_like=True, tag=16, gc=False):
    """Test helper: what a channel or account really took, all of it or a page after a number."""

    ref: int
    account: str
    after: str | None = None


class ReadStatus(Struct, array_like=True, tag=17, gc=False):
    """The shard's numbers for /v1/status, /readyz and /metrics; or the trial balance."""

    ref: int
    kind: str = "stats"


class ReadBalances(Struct, array_like=True, tag=19, gc=False):
    """What a merchant or a receiver has in one shard, by currency; a receiver may be in several.

    `owner`: the beginning of its accounts' names (`payments/chart.py`).
    """

    ref: int
    owner: str


class PageAsk(Struct, array_like=True, tag=18, gc=False):
    """A payer's page: what it shows, or what its payer does. The token in its address was the key.

    `op`: view; authorize (`text`: where to return to, `state` comes back with it); choose (`text`:
    the OAuth code); act (`text`: pay or decline; test mode). `consent`: digest that stands for this
    browser's choice. `account`: where the wallet was asked who pays. `wait_ms`: for its answer.
    """

    ref: int
    payment: str
    op: str
    wallet: str | None = None
    text: str = ""
    state: str = ""
    consent: bytes | None = None
    account: str | None = None
    wait_ms: int = 0
    payer_ip: str | None = None


# --- shard (or directory) -> front door ------------------------------------------------------


class Answer(Struct, array_like=True, tag=30, gc=False):
    """An answer whose effects are durable. `body`: the JSON to send, as it stands."""

    ref: int
    status: int
    body: bytes
    replayed: bool = False
    retry_after: int = 0


class Refusal(Struct, array_like=True, tag=31, gc=False):
    """The business said no: a code of `payments/errors.py`. The front door words the problem."""

    ref: int
    code: str
    detail: str
    param: str | None = None
    retry_after: int = 0


# --- shard -> lane ---------------------------------------------------------------------------


class LanePay(Struct, array_like=True, tag=40, gc=False):
    """Send one attempt. Only after its intent is durable.

    What follows `payer` is filled for channels of the outside world only. `created`: business ms
    of the attempt.
    """

    ref: int
    out_trade_no: str
    amount: int
    currency: str
    way: str
    merchant: str
    wallet: str | None = None
    auth_code: str | None = None
    subject: str | None = None
    expires_at: int | None = None
    payer: str | None = None
    created: int = 0
    payer_ip: str | None = None
    return_url: str | None = None
    store: str | None = None
    terminal: str | None = None
    is_shared: bool = False


class LaneAsk(Struct, array_like=True, tag=41, gc=False):
    """`op`: inquire, reverse or close. The rest says which order, as `OrderRef` does."""

    ref: int
    op: str
    out_trade_no: str
    amount: int = 0
    currency: str = "cny"
    way: str = "barcode"
    wallet: str | None = None
    merchant: str = ""
    created: int = 0


class LaneRefund(Struct, array_like=True, tag=42, gc=False):
    """`op`: refund or inquire_refund. Fields as in `RefundOrder`."""

    ref: int
    op: str
    out_trade_no: str
    out_refund_no: str
    amount: int
    total: int
    currency: str
    way: str = "barcode"
    wallet: str | None = None
    merchant: str = ""
    created: int = 0
    asked_at: int = 0


class LaneAct(Struct, array_like=True, tag=43, gc=False):
    ref: int
    out_trade_no: str
    verb: str


class LaneBooks(Struct, array_like=True, tag=44, gc=False):
    ref: int


class LaneIdentify(Struct, array_like=True, tag=45, gc=False):
    """Who pays? `op`: authorize (`text`: where to return to) or identify (`text`: the code)."""

    ref: int
    op: str
    text: str
    state: str = ""


# --- lane -> shard ---------------------------------------------------------------------------


class LaneReply(Struct, array_like=True, tag=50, gc=False):
    """The answer to LanePay, LaneAsk, LaneRefund or LaneAct. Gives one credit back."""

    ref: int
    out_trade_no: str
    outcome: Outcome


class LaneNotice(Struct, array_like=True, tag=51, gc=False):
    """A verified callback of the channel; answered with NoticeTaken once it is durable.

    With `out_refund_no` it is about that refund.
    """

    ref: int
    out_trade_no: str
    outcome: Outcome
    out_refund_no: str | None = None


class NoticeTaken(Struct, array_like=True, tag=52, gc=False):
    ref: int


class LaneCredit(Struct, array_like=True, tag=53, gc=False):
    """The lane's window for this shard and its circuit: closed, half_open or open."""

    account: str
    lane: int
    credits: int
    circuit: str


class LaneBookList(Struct, array_like=True, tag=54, gc=False):
    ref: int
    books: tuple[Book, ...]
    last: bool
    error: str = ""


# --- front door -> lane, and back ------------------------------------------------------------


class HearCallback(Struct, array_like=True, tag=80, gc=False):
    """A callback of the channel, as it came and unverified. Header names are in lower case."""

    ref: int
    method: str
    query: str
    headers: dict[str, str]
    body: bytes


class CallbackAnswered(Struct, array_like=True, tag=81, gc=False):
    """What the channel is told."""

    ref: int
    status: int
    content_type: str
    body: bytes


# --- directory -> everybody, and back --------------------------------------------------------


class Subscribe(Struct, array_like=True, tag=60, gc=False):
    """Ask for the reference data after change `since` (0: all of it)."""

    name: str
    since: int


class Changes(Struct, array_like=True, tag=61, gc=False):
    """Records up to change `number`; a full snapshot comes in several, `complete` on the last.

    A removed key arrives as a record whose `not_after` is past. An empty one is the heartbeat:
    a snapshot without word for 10 s means not ready.
    """

    number: int
    records: tuple[Record, ...]
    complete: bool


class ClockSet(Struct, array_like=True, tag=62, gc=False):
    """The deployment's test clock: business time is real time plus `offset_ms`."""

    step: int
    offset_ms: int


class ClockQuiet(Struct, array_like=True, tag=63, gc=False):
    """All timers due at `step` were handled. `next_due`: business ms of the next one, if any."""

    step: int
    next_due: int | None


class DirectoryAsk(Struct, array_like=True, tag=64, gc=False):
    """A request on reference data. `caller`: the id of the key that asks, already verified."""

    ref: int
    op: str
    caller: str
    merchant: str | None
    target: str | None
    body: bytes
    query: dict[str, str] = {}
    key_digest: bytes | None = None
    fingerprint: bytes = b""
    nonce: int = 0
    nonce_at: int = 0


# --- numbers, from any actor -----------------------------------------------------------------


class Stats(Struct, array_like=True, tag=70, gc=False):
    """Plain numbers: `values` by metric name and label text. Only the gateway knows Prometheus."""

    ref: int
    name: str
    values: dict[str, float]


class Ping(Struct, array_like=True, tag=71, gc=False):
    ref: int


class Pong(Struct, array_like=True, tag=72, gc=False):
    ref: int


class Control(Struct, array_like=True, tag=73, gc=False):
    """The supervisor's word to a box. `verb`: drain (finish what is asked) or stop."""

    ref: int
    verb: str
    timeout_s: float = 0.0


class Controlled(Struct, array_like=True, tag=74, gc=False):
    """It is done."""

    ref: int
    name: str


Message = (
    Hello
    | Pay
    | MakeRefund
    | CancelPayment
    | ReadOne
    | ReadList
    | Act
    | ReadBooks
    | ReadStatus
    | ReadBalances
    | PageAsk
    | Answer
    | Refusal
    | LanePay
    | LaneAsk
    | LaneRefund
    | LaneAct
    | LaneBooks
    | LaneIdentify
    | LaneReply
    | LaneNotice
    | NoticeTaken
    | LaneCredit
    | LaneBookList
    | HearCallback
    | CallbackAnswered
    | Subscribe
    | Changes
    | ClockSet
    | ClockQuiet
    | DirectoryAsk
    | Stats
    | Ping
    | Pong
    | Control
    | Controlled
    | EventMessage
    | HomeMessage
    | ReportedMessage
    | SharingMessage
)

encoder: Final = Encoder()
decoder: Final = Decoder(list[Message])
