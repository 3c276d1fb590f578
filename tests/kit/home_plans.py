"""What can be done in a world just now, chosen by somebody: a seeded generator, or hypothesis."""

import random

from home_state import CUSTODY, State
from home_world import (
    CHANNEL,
    CHANNEL_FEE_PPM,
    DAY,
    HOUR_MS,
    MERCHANTS,
    RECEIVERS,
    STORY_NAMES,
    World,
)
from payments import chart
from payments.clearing import batch as batches
from payments.clearing.workdays import plus_days
from payments.fees import PPM
from payments.settlement import accounts, instruction, withdrawal
from payments.settlement.entries import COVERED, entry_id

PARTIES = [*MERCHANTS, *RECEIVERS]
FRACTIONS = (1, 1, 2, 3, 10)
TRIES = 6
FUNDED = 10_000


class Seeded:
    """Chooses by a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one_of(self, options):
        return options[self.random.randrange(len(options))]

    def number(self, least, most):
        return self.random.randint(least, most)


class Drawn:
    """Chooses as hypothesis draws, so that a failure shrinks."""

    def __init__(self, data, strategies):
        self.data = data
        self.st = strategies

    def one_of(self, options):
        return self.data.draw(self.st.sampled_from(options))

    def number(self, least, most):
        return self.data.draw(self.st.integers(least, most))


def plan(world, by, at, plans=None):
    """One possible command with all its arguments, or None if what was chosen is not possible."""
    for _ in range(TRIES):
        made = by.one_of(plans or PLANS)(world, by)
        if made is not None:
            return (made[0], at, *made[1:])
    return None


def pay(world, by):
    merchant = by.one_of(MERCHANTS)
    amount = by.number(1, 9_000)
    shares = ()
    if amount > 100 and by.number(0, 1):
        shares = tuple((who, by.number(1, amount // 3)) for who in RECEIVERS)
    date = plus_days(world.day, by.number(0, 1))  # Another store of the merchant closes earlier.
    return "pay", merchant, amount, shares, date


def refund(world, by):
    sales = [each.id for each in world.state.all("sale") if not each.refunded]
    return ("refund", by.one_of(sales), world.day) if sales else None


def clear(world, by):
    return "clear", by.one_of(MERCHANTS), world.day


def arrive(world, by):
    filed = [b.id for b in world.state.all("batch") if b.state is batches.BatchState.FILED]
    return ("arrive", by.one_of(filed)) if filed else None


def credit(world, by):
    """The channel pays for everything that waits: in full, less its fee, or one unit short."""
    waiting = world.waiting()
    if not waiting:
        return None
    owed = sum(each.claim.receivable for each in waiting)
    weight = sum(max(0, each.claim.receivable) for each in waiting)
    kind = by.one_of(["full", "full", "net of its fee", "short"])
    fee_max = CHANNEL_FEE_PPM if kind == "net of its fee" else 0
    amount = owed - weight * fee_max // PPM - (1 if kind == "short" else 0)
    if amount < 0:
        return None
    return "credit", f"ref{len(world.bank.credits)}", tuple(w.id for w in waiting), amount, fee_max


def credit_again(world, by):
    """The bank tells of the same credit once more."""
    known = world.state.all("credit")
    if not known:
        return None
    told = by.one_of(known).credit
    return "credit", told.reference, (), told.amount, 0


def match(world, by):
    known = [each.credit.reference for each in world.state.all("credit")]
    return ("match", by.one_of(known)) if known else None


def carry(world, by):
    claims = sorted(world.arrivals)
    return ("carry", by.one_of(claims)) if claims else None


def advance(world, by):
    party = by.one_of(MERCHANTS)
    amount = by.number(1, 5_000)
    pending = world.state.purse(party, world.day).pending
    return "advance", party, amount, min(amount, max(0, pending)) // by.one_of(FRACTIONS)


def repay(world, by):
    known = [each.id for each in world.state.all("advance")]
    return ("repay", by.one_of(known)) if known else None


def freeze(world, by):
    party = by.one_of(PARTIES)
    return "freeze", party, by.number(1, 3_000)


def thaw(world, by):
    known = [each.id for each in world.state.all("freeze")]
    return ("thaw", by.one_of(known)) if known else None


def register(world, by):
    return "register", by.one_of(PARTIES)


def confirm(world, by):
    known = [each.id for each in world.state.all("account")]
    return "confirm", by.one_of(known)


def pay_out(world, by):
    return "pay_out", by.one_of(MERCHANTS)


def withdraw(world, by):
    party = by.one_of(PARTIES)
    free = world.state.purse(party, world.day).free
    return "withdraw", party, max(1, free // by.one_of(FRACTIONS) + by.number(-20, 5))


def review(world, by):
    known = [each.id for each in world.state.all("withdrawal")]
    return ("review", by.one_of(known), by.number(0, 2)) if known else None


def instruct(world, by):
    known = [each.id for each in world.state.all("withdrawal")]
    return ("instruct", by.one_of(known)) if known else None


def _instructions(world, *states):
    return [each.id for each in world.state.all("instruction") if each.state in states]


def check(world, by):
    known = _instructions(world, instruction.State.DRAFTED)
    who = by.one_of(["op_1", "op_2", instruction.POLICY])
    return ("check", by.one_of(known), who) if known else None


def turn_down(world, by):
    known = _instructions(world, *instruction.State)
    return ("turn_down", by.one_of(known)) if known and not by.number(0, 5) else None


def send(world, by):
    known = _instructions(world, instruction.State.CHECKED)
    if not known:
        return None
    lost, answer_lost = by.number(0, 3) == 0, by.number(0, 3) == 0
    return "send", by.one_of(known), by.one_of(STORY_NAMES), lost, answer_lost


def repeat(world, by):
    known = _instructions(world, instruction.State.UNKNOWN)
    if not known:
        return None
    return "repeat", by.one_of(known), by.one_of(STORY_NAMES), by.number(0, 3) == 0


def hear(world, by):
    """Any answer that the bank has given to any order, again or late, or none."""
    known = [each for each in world.state.all("instruction") if each.number in world.bank.orders]
    if not known:
        return None
    each = by.one_of(known)
    answers = [*world.bank.orders[each.number].answers, instruction.State.UNKNOWN]
    return "hear", each.id, by.one_of(answers)


def ask(world, by):
    known = _instructions(world, *instruction.UNDER_WAY, instruction.State.PAID)
    return ("ask", by.one_of(known)) if known else None


def tomorrow(world, by):
    return ("tomorrow",) if not by.number(0, 3) else None


TAKING = [pay, pay, clear, arrive, credit, match, carry]
COVERING = [refund, credit_again, advance, repay, freeze, thaw, tomorrow]
DRAFTING = [pay_out, pay_out, withdraw, instruct, instruct, review, register, confirm, tomorrow]
PAYING = [check, check, check, turn_down, send, send, repeat, repeat, hear, hear, ask, ask]
PLANS = [*TAKING, *TAKING, *COVERING, *DRAFTING, *PAYING]
SWARMS = [PLANS, [*TAKING, *TAKING, *COVERING], [*TAKING, *DRAFTING, *PAYING, *PAYING]]
"""Each seed has some kinds of commands more often, so that deep stories are reached, too."""


# --- Running ---------------------------------------------------------------------------------


def run(seed, steps, watch=None):
    """(world, script) after so many planned commands. `watch` sees the world after each."""
    world, by, script = World(), Seeded(seed), []
    plans = SWARMS[seed % len(SWARMS)]
    for step in range(1, steps + 1):
        at = step * HOUR_MS
        for command in (bank_moves(world, by, at), plan(world, by, at, plans)):
            if command is not None:
                script.append(command)
                world.execute(*command)
                if watch is not None:
                    watch(world)
    return world, script


def bank_moves(world, by, at):
    """Something happens at the bank that nobody here asked for, or nothing."""
    numbers = sorted(world.bank.in_flight if by.number(0, 9) == 0 else world.bank.orders)
    return ("at_bank", at, by.one_of(numbers)) if numbers and by.number(0, 1) else None


def rerun(script, crash):
    """The world after the same commands, with one crash: (number of the commit, was it stored)."""
    world = World()
    world.crash = crash
    for command in script:
        world.survive(*command)
    return world


def prove(seed, steps, crashes=6):
    """Run a world, crash it in between, bring it to rest; the first complaint, or None."""
    found = []

    def watch(world):
        found.extend(complaints(world))
        if found:
            raise Found(found[0])

    try:
        world, script = run(seed, steps, watch)
        found += restarted(world)
        by = Seeded(seed)
        for _ in range(crashes):
            crash = (by.number(5, len(world.journal)), bool(by.number(0, 1)))
            if rerun(script, crash).state.summary() != world.state.summary():
                found.append(f"a crash at {crash} changes what comes out")
        settle(world, (steps + 1) * HOUR_MS)
        found += complaints(world) + at_rest(world) + restarted(world)
    except (Found, AssertionError) as error:
        return str(error)
    return found[0] if found else None


class Found(Exception):
    """A complaint, at the step at which it came up."""


def settle(world, at):
    """Everything that is owed an answer gets it, in order; the bank and the channel are done."""
    world.bank.finish()
    for _ in range(3):
        for merchant in MERCHANTS:
            at += HOUR_MS
            world.day = plus_days(DAY, at // (24 * HOUR_MS) + 1)
            world.execute("clear", at, merchant, world.day)
        for batch in world.state.all("batch"):
            if batch.state is batches.BatchState.FILED:
                world.execute("arrive", at, batch.id)
        for known in world.state.all("credit"):
            world.execute("match", at, known.credit.reference)
        waiting = world.waiting()
        owed = sum(each.claim.receivable for each in waiting)
        if waiting and owed >= 0:
            ids = tuple(each.id for each in waiting)
            world.execute("credit", at, f"last{at}", ids, owed, 0)
        for claim in sorted(world.arrivals):
            world.execute("carry", at, claim)
        for known in world.state.all("instruction"):
            if known.state in instruction.UNDER_WAY or known.state is instruction.State.PAID:
                world.execute("ask", at, known.id)
    return at


# --- Judging ---------------------------------------------------------------------------------


def complaints(world):
    """What must never be, after any command."""
    state = world.state
    found = list(state.coverage.complaints())
    found += _payouts(world)
    found += _batches(state)
    for merchant in MERCHANTS:
        known = state.cover_of(merchant)
        found += [
            f"{merchant} moved {minor} too much" for minor in known.moved.values() if minor < 0
        ]
    out = sum(each.amount for each in state.all("advance") if each.repaid_at is None)
    if out > FUNDED:
        found.append(f"{out} is advanced, {FUNDED} at most was agreed")
    found += _credits(world)
    return found


def _credits(world):
    """What was matched of a credit is at most the credit; all of it, if no claim waits."""
    state, found = world.state, []
    waiting = {each.id for known in state.all("cover") for each in known.waiting}
    for divided in state.all("credit"):
        claims = [claim for claim, _ in divided.fees]
        shares = sum(share_of(state, claim) for claim in claims if claim not in waiting)
        amount = world.bank.credits[divided.credit.reference]
        if shares > amount or (shares != amount and not waiting & set(claims)):
            found.append(f"{divided.credit.reference} of {amount} is matched with {shares}")
    return found


def share_of(state, claim):
    """What the entry of a covered claim says came from the channel; 0 without an entry."""
    entry = state.booked.get(entry_id(claim, COVERED))
    if entry is None:
        return 0
    legs = dict(entry.postings)
    owed = legs.get(chart.receivable(CHANNEL, entry.partition), 0)
    return -owed - legs.get(chart.fees_channel(entry.partition), 0)


def _payouts(world):
    state, found = world.state, []
    usable = {each.id for each in state.all("account") if each.first_confirmed_at is not None}
    for order in world.bank.orders.values():
        if order.account not in usable:
            found.append(f"{order.number} went to {order.account}, which nobody confirmed")
    for each in state.all("withdrawal"):
        orders = [each.id == order.source for order in world.bank.orders.values()]
        if sum(orders) > 1:
            found.append(f"{each.id} is {sum(orders)} orders at the bank")
        ended = each.status in (withdrawal.Status.REJECTED, withdrawal.Status.RETURNED)
        if ended and world.bank.paid(each.id):
            found.append(f"{each.id} is {each.status} and was paid")
    for each in state.all("instruction"):
        order = world.bank.orders.get(each.number)
        if each.checker is not None and each.checker == each.maker:
            found.append(f"{each.id} was made and checked by {each.maker}")
        if order is not None and not each.sent:
            found.append(f"{each.number} is at the bank and was never sent")
        if each.checker == instruction.POLICY and each.amount > 2_000:
            found.append(f"{each.id} of {each.amount} was checked by nobody")
        if each.disputed:
            found.append(f"{each.id} is disputed with a bank that never contradicts itself")
    for merchant in MERCHANTS:
        owed = world.owed(merchant)
        for each in state.all("instruction"):
            if each.party == merchant and each.state not in instruction.BACK:
                for batch, minor in each.parts:
                    owed[batch] -= minor
        found += [f"{batch} was overpaid by {-m}" for batch, m in overpaid(world, merchant, owed)]
    return found


def overpaid(world, merchant, left):
    """Batches that owed something and were paid more than that."""
    owed = world.owed(merchant)
    return [(batch, minor) for batch, minor in left.items() if minor < min(0, owed[batch])]


def _batches(state):
    """Every entry is in one batch at most, and what a batch says is what its members say."""
    found = []
    for merchant in MERCHANTS:
        cut = [b for b in state.batches_of(merchant) if b.state is not batches.BatchState.OPEN]
        lines = [line for _, line in state.lines if line[2] == merchant]
        homes = [[b.id for b in cut if b.window.has(line[0], line[1])] for line in lines]
        found += [f"an entry is in {home}" for home in homes if len(home) > 1]
        items = sum(b.netted.totals.items for b in cut if b.netted is not None)
        netted = {b.id for b in cut if b.netted is not None}
        if items != sum(bool(netted & set(home)) for home in homes):
            found.append(f"{merchant}'s batches count {items} entries")
        if len({b.id for b in cut}) != len({(b.business_date, b.sequence) for b in cut}):
            found.append(f"{merchant} has a batch twice")
    return found


def restarted(world):
    """The state folded anew from what was stored must be the state it has."""
    again = State.fold(world.journal)
    return [] if again.summary() == world.state.summary() else ["a restart changes the state"]


def at_rest(world):
    """Once everything is settled: books and bank agree, and no step is left half done."""
    state, found = world.state, []
    claims = [claim for divided in state.all("credit") for claim, _ in divided.fees]
    received = sum(share_of(state, claim) for claim in claims)
    advanced = sum(each.amount for each in state.all("advance") if each.repaid_at is None)
    ours, theirs = state.natural(CUSTODY), received + advanced - world.bank.paid_out
    if ours != theirs:
        found.append(f"our books have {ours} at the bank, which has {theirs}")
    found += [f"{name} is left at {minor}" for name, minor in state.coverage.open_transits()]
    for each in state.all("instruction"):
        order = world.bank.orders.get(each.number)
        if order is not None and each.state is not order.answers[-1]:
            found.append(f"{each.id} is {each.state}, at the bank {order.answers[-1]}")
    return found + _sent_too_early(world)


def _sent_too_early(world):
    """Nothing was sent to an account that nobody had confirmed, or not since a payout came back."""
    confirmed, blocked, found = {}, {}, []
    for commit in world.journal:
        for kind, key, event in commit.events:
            if isinstance(event, accounts.Confirmed):
                confirmed[key] = commit.at
            elif kind == "party":
                blocked[key] = commit.at
            elif isinstance(event, instruction.Sent) and not event.is_repeat:
                known = world.state.get("instruction", key)
                since = confirmed.get(known.account)
                if since is None or since <= blocked.get(known.party, -1):
                    found.append(f"{key} was sent to an account that was not confirmed")
    return found
