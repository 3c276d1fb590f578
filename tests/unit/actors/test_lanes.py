"""What a shard knows of the lanes: who is there, and how much they still take."""

from actors.lanes import Lanes
from actors.messages import LaneCredit, Ping
from payments.testing import an_account


class Peer:
    def __init__(self, takes=True):
        self.takes = takes
        self.sent = []

    def send(self, message):
        self.sent.append(message)
        return self.takes


def two_lanes():
    lanes = Lanes((an_account("sim-a"), an_account("sim-b", priority=1)))
    peers = Peer(), Peer()
    for number, peer in enumerate(peers):
        lanes.credit(peer, LaneCredit("sim-a", number, 8, "closed"))
    return lanes, *peers


def test_the_partition_chooses_the_lane():
    """A query follows its payment."""
    lanes, even, odd = two_lanes()

    assert lanes.send("sim-a", 4, Ping(1))
    assert lanes.send("sim-a", 5, Ping(2))
    assert ([Ping(1)], [Ping(2)]) == (even.sent, odd.sent)
    assert lanes.facts(4)["sim-a"] is not lanes.facts(5)["sim-a"]


def test_an_account_without_a_lane_takes_nothing():
    """False means that it is certain: not sent."""
    lanes, _, _ = two_lanes()

    assert not lanes.send("sim-b", 4, Ping(1))
    assert not lanes.send("nobody", 4, Ping(1))
    assert "sim-b" not in lanes.facts(4)


def test_a_full_link_takes_nothing():
    lanes, even, _ = two_lanes()
    even.takes = False

    assert not lanes.send("sim-a", 4, Ping(1))


def test_credits_are_spent_given_back_and_gone_with_the_lane():
    """A window belongs to a link: the next one brings its own."""
    lanes, even, _ = two_lanes()
    facts = lanes.facts(4)["sim-a"]
    facts.credits -= 3
    lanes.give_back("sim-a", 4)
    assert 6 == facts.credits

    lost = lanes.lost(even)
    assert lost is lanes.peer("sim-a", 4)
    lanes.give_back("sim-a", 4)
    assert (0, "down") == (facts.credits, lanes.circuits()["sim-a/0"])
    assert lanes.lost(even) is None

    lanes.credit(Peer(), LaneCredit("sim-a", 0, 5, "closed"))
    assert 5 == lanes.facts(4)["sim-a"].credits


def test_news_of_a_circuit_leaves_the_credits_alone():
    """The same link speaks again: its window is as spent as it was."""
    lanes, even, _ = two_lanes()
    lanes.facts(4)["sim-a"].credits -= 3
    lanes.credit(even, LaneCredit("sim-a", 0, 8, "open"))

    facts = lanes.facts(4)["sim-a"]
    assert (5, "open") == (facts.credits, facts.circuit)


def test_lanes_are_found_by_account_or_channel():
    lanes, even, odd = two_lanes()

    assert [even, odd] == lanes.links("sim-a") == lanes.links("simulated") == lanes.links("")
    assert [] == lanes.links("sim-b")
