"""Defects that the way home of the money can have: each is planted by a patch, and must be found.

A defect is a function of pytest's `monkeypatch`, as in `planted`. The product code has no switches.
"""

from msgspec.structs import replace

import home_payouts
import home_world
from payments.clearing import batch as batches
from payments.clearing import netting, stripes
from payments.errors import Conflict
from payments.settlement import accounts, cover, entries, holds, instruction, purse, withdrawal
from payments.settlement.instruction import State

PLANTED = {}


def defect(plant):
    PLANTED[plant.__name__] = plant
    return plant


# --- Clearing --------------------------------------------------------------------------------


@defect
def a_batch_takes_what_the_one_before_took(patch):
    patch.setattr(
        netting.Window, "has", lambda self, seq, date: seq <= self.seq and date <= self.date
    )


@defect
def what_was_dated_later_is_forgotten(patch):
    """The next batch looks only at what was booked after the last cut-off."""
    opened = batches.open_next

    def forgetful(previous, *rest):
        event = opened(previous, *rest)
        scan = 1 if previous is None else previous.cut_off_seq + 1
        return batches.Opened(replace(event.batch, scan_seq=scan))

    patch.setattr(batches, "open_next", forgetful)


@defect
def a_batch_has_the_clocks_id(patch):
    """Opened again after a crash, it is another one."""
    named = batches.batch_id
    count = iter(range(1_000_000))
    patch.setattr(
        batches, "batch_id", lambda merchant, date, no: named(merchant, date, no + 97 * next(count))
    )


@defect
def a_share_leaves_whole_whatever_refunds_took(patch):
    cleared = stripes.clear

    def greedy(batch, due, pending, debt):
        return cleared(batch, due, max(pending, due.amount), debt)

    patch.setattr(stripes, "clear", greedy)


@defect
def the_second_step_goes_to_the_wrong_pair(patch):
    def astray(party, partition, moved):
        home = entries.home_of(party)
        if not moved:
            return ()
        names = entries.accounts_of(party, home)
        return ((f"transit:{home}:{partition}", moved), (names.pending, -moved))

    patch.setattr(entries, "arrived", astray)


@defect
def a_batch_closes_while_a_share_is_on_its_way(patch):
    """It says that it is done, and nobody sends the second step."""
    patch.setattr(
        home_world.World,
        "arrive",
        lambda self, at, batch_id: self._batch(batch_id, batches.Closed(at)),
    )


# --- Cover -----------------------------------------------------------------------------------


@defect
def a_short_credit_covers_everybody(patch):
    divide = cover.divide

    def lenient(credit, claims, fee_max_ppm=0):
        divided = divide(credit, claims, fee_max_ppm)
        if isinstance(divided, cover.Difference):
            return cover.Divided(credit, tuple((each.id, 0) for each in claims))
        return divided

    patch.setattr(cover, "divide", lenient)


@defect
def a_channels_fee_is_forgotten(patch):
    divide = cover.divide

    def whole(credit, claims, fee_max_ppm=0):
        divided = divide(credit, claims, fee_max_ppm)
        if isinstance(divided, cover.Difference):
            return divided
        return cover.Divided(credit, tuple((claim, 0) for claim, _ in divided.fees))

    patch.setattr(cover, "divide", whole)


@defect
def everything_pending_becomes_available(patch):
    """Also what no credit has come for: others' money would pay it."""
    matched = cover.match

    def generous(known, credit, claim_id, fee, pending, *rest):
        event = matched(known, credit, claim_id, fee, pending, *rest)
        if event is None:
            return None
        return replace(event, released=max(0, pending[known.merchant]))

    patch.setattr(cover, "match", generous)


@defect
def a_claim_is_covered_twice(patch):
    """The claim goes on waiting, and the entry has a new id each time."""
    folded, named = cover.apply, entries.entry_id
    count = iter(range(1_000_000))

    def forgetful(known, event):
        after = folded(known, event)
        return after if not isinstance(event, cover.Covered) else replace(known, owed={})

    patch.setattr(cover, "apply", forgetful)
    patch.setitem(home_world.State.apply.__globals__["FOLDS"], "cover", forgetful)
    patch.setattr(home_world.State.apply.__globals__["cover"], "apply", forgetful)
    patch.setitem(
        home_world.State.book.__globals__,
        "entry_id",
        lambda source, step: named(source, step) + (str(next(count)) if step == "C" else ""),
    )


@defect
def shares_below_zero_are_skipped(patch):
    ordered = cover.in_order
    patch.setattr(
        cover,
        "in_order",
        lambda divided, claims: tuple(
            each for each in ordered(divided, claims) if each[0].claim.receivable > 0
        ),
    )


@defect
def refunds_of_one_are_paid_by_others(patch):
    """A share below zero is matched although its merchant has nothing there."""
    matched = cover.match

    def lenient(known, credit, claim_id, fee, pending, matched_now, backing, at):
        try:
            return matched(known, credit, claim_id, fee, pending, matched_now, backing, at)
        except Conflict:
            return matched(known, credit, claim_id, fee, pending, matched_now, 1 << 40, at)

    patch.setattr(cover, "match", lenient)


@defect
def a_receivers_money_stays_behind(patch):
    """Its share is available at home, the custody money is not there."""

    def penniless(custody, receiver, partition, amount):
        names = entries.accounts_of(receiver, entries.home_of(receiver))
        return ((names.pending, amount), (names.available, -amount))

    patch.setattr(entries, "money_arrived", penniless)


@defect
def an_advance_is_repaid_before_the_credit(patch):
    patch.setattr(
        holds, "repay", lambda known, spare, at: None if known.repaid_at else holds.Repaid(at)
    )


@defect
def an_advance_has_no_limit(patch):
    patch.setattr(home_world, "FUNDER", holds.Funder("bank", 1 << 40))


@defect
def a_freeze_thaws_twice(patch):
    patch.setattr(holds, "thaw", lambda frozen, by, reason, at: holds.Thawed(at, by, reason))
    named = entries.entry_id
    count = iter(range(1_000_000))
    patch.setitem(
        home_world.State.book.__globals__,
        "entry_id",
        lambda source, step: named(source, step) + (str(next(count)) if step == "U" else ""),
    )


# --- Payouts ---------------------------------------------------------------------------------


@defect
def an_unknown_instruction_is_sent_under_a_new_number(patch):
    patch.setattr(
        instruction.Instruction,
        "number",
        property(lambda self: f"TW{self.id[-24:]}{self.sent}"),
    )


@defect
def unknown_is_taken_for_rejected(patch):
    heard = instruction.hear

    def hasty(known, said, at, reference=None, reason=None):
        said = State.REJECTED if said is State.UNKNOWN else said
        return heard(known, said, at, reference, reason)

    patch.setattr(instruction, "hear", hasty)


@defect
def unknown_money_is_available_again(patch):
    books = instruction.booked

    def impatient(known, event):
        if isinstance(event, instruction.Heard) and event.state is State.UNKNOWN:
            return "X", entries.let_go(known.party, known.total)
        return books(known, event)

    patch.setattr(instruction, "booked", impatient)


@defect
def the_maker_checks(patch):
    checked = instruction.check

    def anybody(known, by, at, policy):
        return checked(replace(known, maker="somebody"), by, at, policy)

    patch.setattr(instruction, "check", anybody)


@defect
def policy_checks_any_amount(patch):
    patch.setattr(home_payouts, "POLICY", instruction.Policy(alone_max=1 << 40))


@defect
def an_old_answer_counts_again(patch):
    """An answer that was overtaken takes the instruction back."""
    patch.setattr(instruction, "_NO_CHANGE", {state: frozenset() for state in State})
    patch.setattr(instruction, "UNDER_WAY", frozenset(State))


@defect
def a_return_forgets_that_money_had_left(patch):
    """The money comes back out of transit, where it no longer is."""
    books = instruction.booked

    def confused(known, event):
        if isinstance(event, instruction.Heard):
            event = replace(event, was_paid=False)
        return books(known, event)

    patch.setattr(instruction, "booked", confused)


@defect
def an_unconfirmed_account_is_paid(patch):
    patch.setattr(
        accounts,
        "account_at",
        lambda known, at, cool_down_ms=0: max(known, key=lambda a: a.registered_at, default=None),
    )
    patch.setattr(accounts, "is_blocked", lambda account, blocked_at: False)


@defect
def a_batch_is_paid_again_and_again(patch):
    patch.setattr(instruction, "unpaid", lambda owed, instructions: dict(owed))


@defect
def withdrawals_draw_on_pending(patch):
    patch.setattr(
        purse.Purse,
        "available",
        property(
            lambda self: (
                -self._balances[self._accounts.available] - self._balances[self._accounts.pending]
            )
        ),
    )


@defect
def the_fee_is_taken_from_nowhere(patch):
    """The request checks the amount and books the total."""
    promise = purse.Purse.promise_withdrawal

    def feeless(self, source, date, amount, fee, *limits):
        promise(self, source, date, amount, 0, *limits)

    patch.setattr(purse.Purse, "promise_withdrawal", feeless)


@defect
def a_refused_withdrawal_keeps_its_money(patch):
    """Refused, paid all the same."""
    patch.setattr(
        withdrawal,
        "refuse",
        lambda known, by, reason, at, paying=None: withdrawal.Refused(at, by, reason),
    )


@defect
def a_change_of_state_is_not_stored(patch):
    """A restart does not know what was heard from the bank."""
    commit = home_world.World.commit

    def partly(self, *events, entries=()):
        commit(self, *events, entries=entries)
        kept = tuple(e for e in events if not isinstance(e[2], instruction.Heard))
        if self.journal:
            self.journal[-1] = replace(self.journal[-1], events=kept)

    patch.setattr(home_world.World, "commit", partly)
