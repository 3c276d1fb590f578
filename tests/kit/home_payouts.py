"""The payouts of a world: bank accounts, instructions and withdrawals, and an unreliable wire."""

from hashlib import sha256

from home_state import CUSTODY, Block, Booked
from payments import fees
from payments.clearing import terms
from payments.ids import body_at, partition_of
from payments.settlement import accounts, instruction, withdrawal
from payments.settlement.accounts import BankAccount

PLAN = fees.FeePlan("withdrawal", 0, minimum=10)
POLICY = instruction.Policy(alone_max=2_000)
LIMITS = withdrawal.Limits(review_above=5_000)


def made(prefix, at, partition, *words):
    """An id that follows from the step and words, so that a repeated command makes it again."""
    digest = sha256(" ".join(map(str, words)).encode()).digest()
    return f"{prefix}_{body_at(at, partition, digest)}"


class Payouts:
    """What a world does with money that is available."""

    # --- Bank accounts --------------------------------------------------------------------

    def _register(self, party, at):
        identifier = made("acc", at, partition_of(party), "account", party)
        if self.state.get("account", identifier) is None:
            account = BankAccount(
                identifier, party, "张三小吃", "6222021234567890", "icbc", at, "op_1"
            )
            self.commit(("account", identifier, account))
        self.confirm(at, identifier)

    def register(self, at, party):
        self.now = at
        self._register(party, at)

    def confirm(self, at, identifier):
        self.now = at
        account = self.state.get("account", identifier)
        if account.confirmed_at != at:
            self.commit(("account", identifier, accounts.confirm(account, "op_2", at)))

    def usable(self, party, at):
        """The account that counts now, and whether payouts wait."""
        account = accounts.account_at(self.state.accounts_of(party), at)
        block = self.state.get("party", party)
        return account, accounts.is_blocked(account, block and block.at)

    # --- Payouts and withdrawals ----------------------------------------------------------

    def owed(self, merchant):
        """What each filed batch owes its merchant, minor units."""
        return {
            batch.id: sum(due.amount for due in batch.dues if due.party == merchant)
            - batch.cleared[0].to_debt
            for batch in self.state.batches_of(merchant)
            if batch.cleared
        }

    def pay_out(self, at, merchant):
        """Draft what is due of the merchant's batches, a policy or a person checks it later."""
        self.now = at
        mine = [each for each in self.state.all("instruction") if each.party == merchant]
        if any(each.drafted_at == at for each in mine):
            return
        if any(
            each.state in (instruction.State.DRAFTED, instruction.State.CHECKED) for each in mine
        ):
            return  # Its money is not promised before it is sent: one at a time.
        account, blocked = self.usable(merchant, at)
        positions = [
            terms.Position(batch, self.state.get("batch", batch).business_date, minor)
            for batch, minor in instruction.unpaid(self.owed(merchant), mine).items()
        ]
        free = self.state.purse(merchant, self.day).free
        keeping = terms.Keeping(is_blocked=blocked)
        payout = terms.payout_on(
            self.day, positions, free, self.terms, self.standing, self.rules, self.workdays, keeping
        )
        if not payout.parts:
            return
        source = payout.parts[0][0]
        attempt = 1 + sum(each.source == source for each in mine)
        event = instruction.draft(
            source,
            attempt,
            merchant,
            payout.amount,
            "cny",
            account,
            CUSTODY,
            "op_1",
            at,
            parts=payout.parts,
        )
        self.commit(("instruction", event.instruction.id, event))

    def withdraw(self, at, party, amount):
        self.now = at
        identifier = made("wdr", at, partition_of(party), "withdraw")
        wanted = withdrawal.Withdrawal(identifier, party, "cny", amount, 0, self.day, at, "key_1")
        _, blocked = self.usable(party, at)
        event = withdrawal.request(
            wanted,
            self.state.get("withdrawal", identifier),
            self.state.purse(party, self.day),
            LIMITS,
            PLAN,
            blocked,
            needs_review=False,
        )
        self._withdrawal(identifier, event)

    def _withdrawal(self, identifier, event, known=None):
        if event is None:
            return
        about = event.withdrawal if known is None else known
        step = withdrawal.booked(about, event)
        booked = [Booked(identifier, *step)] if step else []
        self.commit(("withdrawal", identifier, event), entries=booked)

    def review(self, at, identifier, verdict):
        self.now = at
        known = self.state.get("withdrawal", identifier)
        event = (
            withdrawal.approve(known, "op_2", at)
            if verdict
            else withdrawal.refuse(known, "op_2", "not plausible", at, self.paying(identifier))
        )
        self._withdrawal(identifier, event, known)

    def paying(self, source):
        found = [each for each in self.state.all("instruction") if each.source == source]
        return found[-1] if found else None

    def instruct(self, at, identifier):
        """Draft the instruction of a withdrawal that waits for nothing else."""
        self.now = at
        known = self.state.get("withdrawal", identifier)
        if self.paying(identifier) or known.status is not withdrawal.Status.REQUESTED:
            return
        account, _ = self.usable(known.party, known.requested_at)
        event = instruction.draft(
            identifier,
            1,
            known.party,
            known.amount,
            "cny",
            account,
            CUSTODY,
            "key_1",
            at,
            known.fee,
            is_held=True,
        )
        self.commit(("instruction", event.instruction.id, event))

    def check(self, at, identifier, by):
        self.now = at
        known = self.state.get("instruction", identifier)
        self._instruction(known, instruction.check(known, by, at, POLICY))

    def turn_down(self, at, identifier):
        self.now = at
        known = self.state.get("instruction", identifier)
        self._instruction(known, instruction.turn_down(known, "op_3", "wrong", at))

    def send(self, at, identifier, story, is_lost, answer_lost):
        """First durable, then on the wire; the wire may lose it, or the answer."""
        self.now = at
        known = self.state.get("instruction", identifier)
        account, blocked = self.usable(known.party, at)
        purse = self.state.purse(known.party, self.day)
        usable = None if blocked or account is None else account.id
        self._instruction(known, instruction.send(known, purse, usable, at))
        self._on_the_wire(identifier, story, is_lost, answer_lost)

    def repeat(self, at, identifier, story, is_lost):
        self.now = at
        known = self.state.get("instruction", identifier)
        self._instruction(known, instruction.repeat(known, at))
        if self.state.get("instruction", identifier).sent_at == at:
            self._on_the_wire(identifier, story, is_lost, True)

    def _on_the_wire(self, identifier, story, is_lost, answer_lost):
        known = self.state.get("instruction", identifier)
        if known.state is not instruction.State.SENT:
            return
        if is_lost:
            self.bank.delay(known, story)
        else:
            self.bank.receive(known, story)
        said = instruction.State.UNKNOWN
        if not is_lost and not answer_lost:
            said = self.bank.orders[known.number].answers[-1]
        self.hear(self.now, identifier, said)

    def hear(self, at, identifier, said):
        self.now = at
        known = self.state.get("instruction", identifier)
        self._instruction(known, instruction.hear(known, said, at, "ref", said))

    def ask(self, at, identifier):
        """Ask the bank by the number: it knows, or it never saw it."""
        self.now = at
        known = self.state.get("instruction", identifier)
        order = self.bank.orders.get(known.number)
        if order is not None:
            self.hear(at, identifier, order.answers[-1])
            return
        if known.state is instruction.State.SENT:  # Found by a restart: nobody knows how it went.
            self.hear(at, identifier, instruction.State.UNKNOWN)
            known = self.state.get("instruction", identifier)
        self._instruction(known, instruction.absent(known, at))

    def _instruction(self, known, event):
        """Store an instruction's event with its entry, and its withdrawal's in the same commit."""
        if event is None:
            return
        step = instruction.booked(known, event)
        booked = [Booked(known.id, *step)] if step else []
        events = [("instruction", known.id, event)]
        if instruction.blocks(event):
            events.append(("party", known.party, Block(event.at)))
        paid = self.state.get("withdrawal", known.source)
        if paid is not None:
            followed = withdrawal.follow(paid, instruction.apply(known, event), event.at)
            events += [("withdrawal", paid.id, followed)] if followed else []
        self.commit(*events, entries=booked)
