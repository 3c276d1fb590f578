"""The oracle: is what the store, the channels' books and a client's log say true together?

`judge(world)` gives complaints in words, none for a sound world. The numbers are those of the table
in docs/RELIABILITY.md. What a shard keeps in memory is not believed, only compared.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import apsw
from msgspec import Struct, msgpack

from actors.live import decode_payment, decode_refund
from actors.messages import MakeRefund, Pay, Refusal
from client import Ack
from payments import chart, invariants
from payments.channels.base import Book
from payments.ids import out_trade_no
from payments.ledger import (
    BrokenChain,
    Postings,
    TrialBalance,
    book,
    trial_balance,
    unpack_postings,
    verify_chain,
)
from payments.limits import Counters
from payments.payment import UNPAID, Payment, Status
from payments.refund import Refund
from payments.storage.memory import Disk
from payments.view import split_id
from world import World


class Rows(Struct):
    """Everything of a store, read behind the shard's back."""

    payments: list[Any]
    refunds: list[Any]
    entries: list[Any]
    events: list[Any]
    balances: list[Any]
    heads: list[Any]
    nonces: list[tuple[int, int]]
    epochs: list[int]


def of_disk(disk: Disk) -> Rows:
    return Rows(
        list(disk.payments.values()),
        list(disk.refunds.values()),
        list(disk.entries.values()),
        list(disk.events.values()),
        list(disk.balances.values()),
        list(disk.heads.values()),
        [nonce for _, kept in disk.nonces for nonce in kept],
        [],
    )


def of_file(path: Any) -> Rows:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("query_only", True)

    def rows(table: str, order: str = "no") -> list[Any]:
        return connection.execute(f'SELECT * FROM "{table}" ORDER BY {order}').fetchall()  # noqa: S608

    commits = rows("commit")
    found = Rows(
        rows("payment"),
        rows("refund"),
        rows("entry"),
        rows("event"),
        rows("balance", "account"),
        [(*row[:3], row[3]) for row in rows("head", "partition")],
        [nonce for row in commits for nonce in msgpack.decode(row[4], type=list[tuple[int, int]])],
        [row[1] for row in commits],
    )
    connection.close()
    return found


def rows_of(world: World) -> Rows:
    if world.path is None:
        return of_disk(world.disk)
    return of_file(world.path / "shard-0.db")


def judge(world: World, *, is_settled: bool = False) -> list[str]:
    """All complaints. `is_settled`: faults have stopped and everything had its time."""
    rows = rows_of(world)
    payments = {row[1]: decode_payment(row[8]) for row in rows.payments}
    refunds = {row[1]: decode_refund(row[7]) for row in rows.refunds}
    complaints = [*_books_balance(rows), *_numbers(rows), *_each(rows, payments, refunds)]
    complaints += _keys(rows, payments, refunds)
    complaints += _orders(payments)
    complaints += _channels(world.taken(), payments, is_settled=is_settled)
    complaints += _acks(world.client.log, payments, refunds)
    complaints += _endings(world.client.log, payments)
    complaints += _epochs(rows, world)
    complaints += _counters(world)
    if world.boxes.get("shard-0") is not None and world.core.counts.get("bugs"):
        complaints.append(f"{world.core.counts['bugs']} decisions failed by a bug")
    complaints += world.loop.failures
    return complaints


def _books_balance(rows: Rows) -> Iterator[str]:
    """1, 2, 3, 4: entries balance and are chained, stored folds are true, limits are kept."""
    try:
        ends = verify_chain(rows.entries)
    except BrokenChain as error:
        yield f"4: {error}"
        return
    balances: dict[tuple[str, str], int] = {}
    stored = sorted(rows.balances, key=lambda row: row[3])
    for row in rows.entries:
        while stored and stored[0][3] < row[0]:
            yield from _stored(balances, stored.pop(0))
        book(balances, row[6], unpack_postings(row[7]))
        for account, _ in unpack_postings(row[7]):
            minor = balances[account, row[6]]
            if chart.is_limited(account) and chart.natural(account, minor) < 0:
                yield f"3: {account} is {minor} after entry {row[0]}"
    for left in stored:
        yield from _stored(balances, left)
    yield from (f"1: {each} is off" for each in trial_balance(balances) if _is_off(each))
    for partition, seq, chain, no in rows.heads:
        end = ends[partition]
        if no >= end.entry_no and (seq, chain) != (end.seq, end.chain):
            yield f"4: the stored end of partition {partition} is {seq}, entries say {end.seq}"


def _is_off(each: TrialBalance) -> bool:
    return each.residual != 0


def _stored(balances: dict[tuple[str, str], int], row: Any) -> Iterator[str]:
    account, currency, minor, no = row
    mine = balances.get((account, currency), 0)
    if mine != minor:
        yield f"2: {account} is stored as {minor} at entry {no}, entries say {mine}"


def _numbers(rows: Rows) -> Iterator[str]:
    """4: sequences without gaps."""
    for name in ("payments", "refunds", "entries", "events"):
        numbers = [row[0] for row in getattr(rows, name)]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"4: the numbers of {name} have gaps: {numbers[:10]}"


def _each(rows: Rows, payments: dict[str, Payment], refunds: dict[str, Refund]) -> Iterator[str]:
    """10, 11, 18, and the entries: each payment by itself, with what is about it."""
    of: dict[str, list[Refund]] = {}
    for refund in refunds.values():
        of.setdefault(refund.payment, []).append(refund)
    source = {
        refund.id[-24:]: refund.payment
        for refund in refunds.values()
        if not refund.automatic or refund.stray is not None
    }
    source |= {identifier[-24:]: identifier for identifier in payments}
    entries: dict[str, list[str]] = {}
    postings: dict[str, list[Postings]] = {}
    for row in rows.entries:
        about = source.get(row[3][4:28], "?")
        entries.setdefault(about, []).append(row[3])
        postings.setdefault(about, []).append(unpack_postings(row[7]))
    events: dict[str, list[str]] = {}
    splits: dict[str, list[str]] = {
        split_id(payment.id, share.receiver)[-24:]: []
        for payment in payments.values()
        for share in payment.shares
    }
    for row in rows.events:
        if row[3][4:28] in splits:
            splits[row[3][4:28]].append(row[4])
            continue
        events.setdefault(source.get(row[3][4:28], "?"), []).append(row[3])
    yield from (f"18: {row} is about nothing" for row in events.get("?", ()))
    yield from (f"4: {row} is about nothing" for row in entries.get("?", ()))
    for identifier, payment in payments.items():
        for share in payment.shares:
            told = splits[split_id(identifier, share.receiver)[-24:]].count("split.returned")
            if told != (0 < share.amount == share.returned):
                yield f"18: {identifier}: {share} and {told} events that it came back"
        mine = of.get(identifier, [])
        found = invariants.of_payment(
            payment, mine, entries.get(identifier, []), events.get(identifier, [])
        )
        yield from (f"10/11/18: {identifier} {complaint}" for complaint in found)
        said = invariants.of_shares(payment, postings.get(identifier, []))
        yield from (f"11: {identifier} {complaint}" for complaint in said)
        said = invariants.of_escrow(payment, postings.get(identifier, []))
        yield from (f"11: {identifier} {complaint}" for complaint in said)
        if payment.split and payment.status is Status.SUCCEEDED and not payment.shares:
            yield f"11: {identifier} was to be split and is not"
        if payment.amount_refunded == payment.amount and payment.status is Status.SUCCEEDED:
            returned = (payment.settle_returned, payment.fee_returned)
            if returned != (payment.settle_amount, payment.fee):
                yield f"11: {identifier} was refunded whole and gave back {returned}"


def _keys(rows: Rows, payments: dict[str, Payment], refunds: dict[str, Refund]) -> Iterator[str]:
    """9 and 20 in the store: one object a key, one use a nonce."""
    digests = Counter(p.key_digest for p in payments.values())
    digests.update(r.key_digest for r in refunds.values())
    yield from (f"9: a key has {count} objects" for count in digests.values() if count > 1)
    nonces = Counter(nonce for nonce, _ in rows.nonces)
    yield from (f"20: nonce {nonce} {count} times" for nonce, count in nonces.items() if count > 1)


def _orders(payments: dict[str, Payment]) -> Iterator[str]:
    """An order number is held by at most one payment that is not finally unpaid."""
    held = Counter((p.merchant, p.order_no) for p in payments.values() if p.status not in UNPAID)
    yield from (
        f"9: order {order} is held {count} times" for order, count in held.items() if count > 1
    )


def _channels(
    taken: dict[str, dict[str, Book]], payments: dict[str, Payment], *, is_settled: bool
) -> Iterator[str]:
    """6, 7, 8: what the channels took is what we say they took."""
    ours: dict[tuple[str, str], Payment] = {}
    for payment in payments.values():
        attempts = (*payment.earlier, *((payment.attempt,) if payment.attempt else ()))
        paid = 0
        for attempt in attempts:
            number = out_trade_no(payment.id, attempt.number)
            ours[attempt.account, number] = payment
            order = taken.get(attempt.account, {}).get(number)
            left = 0 if order is None else order.charges * order.amount_minor - order.refunded_minor
            is_paid = left > 0 or (order is not None and order.refunded_minor > 0)
            paid += is_paid and not attempt.is_stray
            expected = 0
            if payment.status is Status.SUCCEEDED and attempt is payment.attempt:
                expected = payment.amount - payment.amount_refunded
            if is_settled and left != expected:
                where = f"{number} at {attempt.account}"
                yield f"6: {where} has {left}, {payment.status} says {expected}"
            if order is not None and order.amount_minor not in (0, payment.amount):
                yield f"8: {number} is of {order.amount_minor}, {payment.amount} was asked"
        if paid > 1:
            yield f"7: {payment.id} was paid by {paid} attempts"
    for account, orders in taken.items():
        for number, order in orders.items():
            if (account, number) not in ours:
                yield f"8: {account} has {order} and nobody meant it"


def _acks(
    log: list[Ack], payments: dict[str, Payment], refunds: dict[str, Refund]
) -> Iterator[str]:
    """5, 9, 19, 20: what a client was told stands."""
    by_key: dict[tuple[str, str], dict[bytes, set[str]]] = {}
    used: dict[int, int] = {}
    for ack in log:
        command, reply = ack.command, ack.reply
        if reply is None:
            continue
        if isinstance(reply, Refusal):
            if reply.code == "internal_error":
                yield f"a bug answered {command}"
            continue
        body = ack.body
        nonce = getattr(command, "nonce", 0)
        used[nonce] = used.get(nonce, 0) + bool(nonce)
        merchants = getattr(command, "merchants", None) or (command.merchant,)
        if body.get("merchant", merchants[0]) not in merchants:
            yield f"19: {merchants} was told of {body['id']} of {body['merchant']}"
        if isinstance(command, Pay | MakeRefund):
            known = by_key.setdefault((command.merchant, ack.key), {})
            known.setdefault(command.fingerprint, set()).add(body["id"])
        if body["object"] == "payment":
            yield from _told_payment(body, payments)
        elif body["object"] == "refund":
            yield from _told_refund(body, refunds)
    for (_, key), objects in by_key.items():
        if len(objects) > 1 or any(len(ids) > 1 for ids in objects.values()):
            yield f"9: key {key} was answered with {objects}"
    yield from (f"20: nonce {nonce} was accepted {n} times" for nonce, n in used.items() if n > 1)


NEVER_PAID = frozenset({"9002", "9003", "9004", "9007", "9011"})
UNSIGNED_MS = 20_000


def _endings(log: list[Ack], payments: dict[str, Payment]) -> Iterator[str]:
    """What the payer or the channel did by the auth code's ending is what the payment says."""
    for ack in log:
        code = getattr(ack.command, "auth_code", None)
        payment = payments.get(ack.command.id) if code else None
        if payment is None or payment.status is not Status.SUCCEEDED:
            continue
        assert payment.succeeded_at is not None
        if code[-4:] in NEVER_PAID:
            yield f"6: {payment.id} of ending {code[-4:]} succeeded"
        if code[-4:] == "9010" and payment.succeeded_at < payment.created + UNSIGNED_MS:
            yield f"6: {payment.id} believes an unsigned answer"


def _told_payment(body: dict[str, Any], payments: dict[str, Payment]) -> Iterator[str]:
    payment = payments.get(body["id"])
    if payment is None:
        yield f"5: {body['id']} was acknowledged and is not there"
        return
    for name in ("amount", "currency", "merchant", "order_no"):
        if body[name] != getattr(payment, name):
            yield f"5: {name} of {payment.id} was told as {body[name]}"
    if body["status"] in ("succeeded", "failed", "reversed", "closed"):
        if payment.status != body["status"]:
            yield f"5: {payment.id} was told to be {body['status']} and is {payment.status}"
        if body["succeeded_at"] and payment.succeeded_at is None:
            yield f"5: {payment.id} was told to have succeeded"
    if body["amount_refunded"] > payment.amount_refunded:
        yield f"5: {payment.id} was told to have refunded {body['amount_refunded']}"


def _told_refund(body: dict[str, Any], refunds: dict[str, Refund]) -> Iterator[str]:
    refund = refunds.get(body["id"])
    if refund is None:
        yield f"5: {body['id']} was acknowledged and is not there"
        return
    if (body["amount"], body["payment"]) != (refund.amount, refund.payment):
        yield f"5: {refund.id} was told as {body['amount']} of {body['payment']}"
    if body["status"] != "processing" and body["status"] != refund.status:
        yield f"5: {refund.id} was told to be {body['status']} and is {refund.status}"


def _epochs(rows: Rows, world: World) -> Iterator[str]:
    """16: epochs never go back."""
    for epochs in (rows.epochs, world.epochs):
        if epochs != sorted(epochs):
            yield f"16: epochs went back: {epochs}"
    if len(set(world.epochs)) != len(world.epochs):
        yield f"16: two owners had one epoch: {world.epochs}"


def _counters(world: World) -> Iterator[str]:
    """17: limit counters are what the payments say."""
    if "shard-0" not in world.boxes:
        return
    core = world.core
    stored = {row[0]: decode_payment(row[8]) for row in rows_of(world).payments}
    stored |= {live.no: live.payment for live in core.live.values()}
    for merchant in world.merchants:
        entity = core.merchants._active.get(merchant.number)
        if entity is None:
            continue
        mine = [stored[no] for no in sorted(stored) if stored[no].merchant == merchant.id]
        counted = Counters.from_payments(mine)
        if counted != entity.counters:
            yield f"17: {merchant.name} counts {entity.counters}, its payments {counted}"
        open_now = {no for no, p in stored.items() if p.merchant == merchant.id and not p.is_final}
        if entity.open != open_now:
            yield f"17: {merchant.name} has {entity.open} open, its payments {open_now}"
        over = world.day_max is not None and max(entity.counters.day.amounts.values(), default=0)
        if over and over > (world.day_max or 0):
            yield f"17: {merchant.name} is over its day limit with {over}"


def settled(world: World) -> list[str]:
    """21 and all others: faults have stopped, everything has its end, and the end is right."""
    complaints = [f"21: {each}" for each in world.settle()]
    for account, lane in world.lanes.items():
        peer = world.core.lanes.peer(account, 17)
        if peer is None or peer.link is None:
            complaints.append(f"21: the lane of {account} is down")
        elif peer.facts.credits != world.window and not len(lane._calls):
            complaints.append(f"21: {account} has {peer.facts.credits} credits of {world.window}")
    return complaints + judge(world, is_settled=True)
