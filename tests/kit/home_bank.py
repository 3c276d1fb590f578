"""A bank and a channel that are honest and unreliable: they lose answers, repeat and overtake them.

They are the other side: what they hold is the truth that our books are compared with.
"""

from payments.settlement.instruction import State

STORIES = {
    "pays": (State.ACCEPTED, State.PAID),
    "rejects": (State.REJECTED,),
    "accepts and rejects": (State.ACCEPTED, State.REJECTED),
    "pays and takes back": (State.ACCEPTED, State.PAID, State.RETURNED),
    "takes back before it paid": (State.ACCEPTED, State.RETURNED),
}


class Order:
    """One instruction at the bank: its story, and how far it has come."""

    def __init__(self, number, source, account, amount, story):
        self.number = number
        self.source = source
        self.account = account
        self.amount = amount
        self.story = STORIES[story]
        self.told = 1

    @property
    def answers(self):
        """Everything that the bank could still deliver, old news included."""
        return self.story[: self.told]

    @property
    def is_paid(self):
        return State.PAID in self.answers and State.RETURNED not in self.answers


class Bank:
    """Idempotent by the instruction's number, as real ones are."""

    def __init__(self):
        self.orders = {}
        self.in_flight = {}
        self.credits = {}

    def receive(self, instruction, story):
        """An instruction arrived; a number that was seen changes nothing."""
        number = instruction.number
        if number not in self.orders:
            self.orders[number] = Order(
                number, instruction.source, instruction.account, instruction.amount, story
            )

    def delay(self, instruction, story):
        """A message that nobody answers: it may still arrive, much later."""
        self.in_flight[instruction.number] = (instruction, story)

    def land(self, number):
        self.receive(*self.in_flight.pop(number))

    def go_on(self, number):
        order = self.orders[number]
        order.told = min(order.told + 1, len(order.story))

    def finish(self):
        for number in list(self.in_flight):
            self.land(number)
        for order in self.orders.values():
            order.told = len(order.story)

    @property
    def paid_out(self):
        """What has left the custody account for good."""
        return sum(order.amount for order in self.orders.values() if order.is_paid)

    def paid(self, source):
        """How often a source was paid and not taken back."""
        return sum(o.source == source and o.is_paid for o in self.orders.values())
