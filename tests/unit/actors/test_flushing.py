"""What a commit lets out leaves before the next commit is written, over every link."""

from actors.messages import ReadStatus
from home_shard import HomeShard, KeptLink


class Watched(KeptLink):
    """Notes what happens to it in a list that it shares."""

    def __init__(self, name, role, events):
        super().__init__(name, role)
        self.events = events

    def send(self, message):
        self.events.append((self.peer_name, "send"))
        return super().send(message)

    def flush(self):
        self.events.append((self.peer_name, "flush"))


def test_answers_are_flushed_with_the_commit_they_stood_on():
    """Each link that is up, after all was said; one that was lost is left alone."""
    shard, events = HomeShard(), []
    front, other = Watched("front-0", "front", events), Watched("front-1", "front", events)
    shard.shard.on_link(front)
    shard.shard.on_link(other)
    shard.hear(front, ReadStatus(1, "trial_balance"))
    assert [("front-0", "send"), ("front-0", "flush"), ("front-1", "flush")] == events

    events.clear()
    shard.shard.on_link_lost(other)
    shard.hear(front, ReadStatus(2, "trial_balance"))
    assert [("front-0", "send"), ("front-0", "flush")] == events
    shard.close()
