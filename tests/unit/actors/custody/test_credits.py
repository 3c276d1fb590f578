"""Credits: divided once, exactly, and matched by every shard that has a share."""

from hypothesis import given
from hypothesis import strategies as st

from actors.custody_credits import Settles
from actors.home_messages import Carry
from custody_town import DAY, claim, instruct, made
from payments.settlement import remittance

TEXT = f"wechat-1 {DAY}"


async def test_a_credit_is_divided_among_the_shards_that_have_claims(make_town):
    """The whole of it, in claims of three shards; another day and another account keep theirs."""
    town = await make_town(shards=3)
    mine = [claim("a", 300, 1), claim("b", 200, 101), claim("c", 500, 202)]
    others = [claim("d", 700, 1, date=DAY - 1), claim("e", 900, 101, account="alipay-1")]
    for each in (*mine, *others):
        town.shards[int(each.claim.receivable not in (300, 700))].claims.append(each)
    town.shards[1].claims.remove(mine[2])
    town.shards[2].claims.append(mine[2])
    await town.credit(1_000, TEXT)

    await town.settle()

    told = [shard.matched for shard in town.shards]
    assert [[mine[0].id], [mine[1].id], [mine[2].id]] == [[c for _, c, _ in m] for m in told]
    assert {0} == {fee for matched in told for _, _, fee in matched}
    assert 0 == town.custody.stats()["custody_credits_waiting"]


async def test_a_credit_that_does_not_fit_waits_for_its_claims(town):
    """Short by one unit, it covers nobody; it fits when the claim is there."""
    shard = town.shards[0]
    shard.claims.append(claim("a", 999))
    await town.credit(1_000, TEXT)
    await town.settle()
    stats = town.custody.stats()
    assert ([], 1, 1) == (
        shard.matched,
        stats["custody_credits_waiting"],
        stats["custody_credit_short_minor"],
    )

    shard.claims.append(claim("b", 1))
    await town.settle()

    assert {each.id for each in shard.claims} == shard.done
    assert 0 == town.custody.stats()["custody_credit_short_minor"]


async def test_a_fee_is_divided_where_the_channel_keeps_one(make_town):
    """By what is owed to each; a fee that is smaller than agreed means that a claim is missing."""
    town = await make_town(settles={"wechat-1": Settles(5_000, 7_000)})
    shard = town.shards[0]
    shard.claims.append(claim("a", 99_700))
    await town.credit(99_400, TEXT)
    await town.settle()
    assert [] == shard.matched

    shard.claims.append(claim("b", 300))
    await town.settle()

    assert [(claim("a", 99_700).id, 598), (claim("b", 300).id, 2)] == sorted(
        ((c, fee) for _, c, fee in shard.matched), key=lambda each: -each[1]
    )


async def test_what_is_below_zero_goes_first_over_all_shards(make_town):
    """The others wait until it is matched: their money is short by it."""
    town = await make_town(shards=2)
    debt, owed = claim("a", -100, 101), claim("b", 1_100, 1)
    town.shards[1].claims.append(debt)
    town.shards[0].claims.append(owed)
    town.shards[1].refuses.add(debt.id)
    await town.credit(1_000, TEXT)
    await town.settle()
    assert [[], []] == [shard.matched for shard in town.shards]

    town.shards[1].refuses.clear()
    await town.settle()

    assert [{owed.id}, {debt.id}] == [shard.done for shard in town.shards]


async def test_what_days_before_lack_is_netted_with_the_credit(make_town):
    """A day that the channel does not pay takes of the next: all their claims are covered by it."""
    town = await make_town(shards=2)
    lost, won = claim("a", -700, 1, date=DAY - 2), claim("b", 300, 101, date=DAY - 2)
    little, owed = claim("c", 150, 1, date=DAY - 1), claim("d", 1_000, 101)
    paid_by_its_own = claim("e", 500, 1, date=DAY - 3)
    later = claim("f", -50, 1, date=DAY + 1)
    elsewhere = claim("g", -60, 1, account="alipay-1", date=DAY - 1)
    town.shards[0].claims += [lost, little, paid_by_its_own, later, elsewhere]
    town.shards[1].claims += [won, owed]
    await town.credit(1_000 - 700 + 300 + 150, TEXT)

    await town.settle()

    assert [{lost.id, little.id}, {won.id, owed.id}] == [shard.done for shard in town.shards]
    assert lost.id == town.shards[0].matched[0][1]
    assert 0 == town.custody.stats()["custody_credits_waiting"]


async def test_a_credit_that_fits_is_netted_with_nothing(town):
    """What days before lack is another credit's, as far as the channel says."""
    shard = town.shards[0]
    lost, owed = claim("a", -700, date=DAY - 1), claim("b", 1_000)
    shard.claims += [lost, owed]
    await town.credit(1_000, TEXT)
    await town.settle()

    assert {owed.id} == shard.done


async def test_a_credit_that_fits_neither_way_covers_nobody(town):
    """Short by its own day's claims, whatever days before lack."""
    shard = town.shards[0]
    shard.claims += [claim("a", -700, date=DAY - 1), claim("b", 1_000)]
    await town.credit(301, TEXT)
    await town.settle()

    assert [] == shard.matched
    assert 699 == town.custody.stats()["custody_credit_short_minor"]


async def test_a_claim_belongs_to_one_credit(town):
    """The same amount twice: the second finds nothing, whether or not the first was matched."""
    shard = town.shards[0]
    shard.claims.append(claim("a", 1_000))
    shard.refuses.add(shard.claims[0].id)
    await town.credit(1_000, TEXT, "WX-1")
    await town.credit(1_000, TEXT, "WX-2")
    await town.settle()
    shard.refuses.clear()
    await town.settle()

    assert 1 == len(shard.matched)
    assert 1_000 == town.custody.stats()["custody_credit_short_minor"]


async def test_a_shard_that_is_away_is_waited_for(make_town):
    """Nothing is divided while one of them has not said what it claims."""
    town = await make_town(shards=2)
    town.shards[0].claims.append(claim("a", 1_000))
    town.shards[1].die()
    await town.credit(1_000, TEXT)
    await town.settle()
    assert [] == town.shards[0].matched

    await town.shards[1].rise()
    await town.soon(lambda: town.shards[1].link)
    await town.settle()

    assert 1 == len(town.shards[0].matched)


async def test_money_that_names_nobody_waits_for_a_person(town):
    """It is counted, and covers nobody."""
    town.shards[0].claims.append(claim("a", 1_000))
    await town.credit(1_000, "thanks for the fish")
    await town.settle()

    assert [] == town.shards[0].matched
    assert 1 == town.custody.stats()["custody_credits_foreign"]


async def test_a_day_that_is_over_is_compared_with_its_statement(town, monkeypatch):
    """A credit that no notice has told of is taken from the statement of its day."""
    shard = town.shards[0]
    shard.claims.append(claim("a", 1_000))
    await town.settle()
    told = town.bank.client.movements

    async def forgetful(after):
        found = await told(after)
        return tuple(each for each in found if each.kind.value != "credit")

    monkeypatch.setattr(town.bank.client, "movements", forgetful)
    await town.credit(1_000, TEXT)
    await town.settle()
    assert [] == shard.matched

    await town.live(town.bank.clock.now_ms() + 86_400_000)

    assert 1 == len(shard.matched)
    assert 1 == town.custody.stats()["custody_missed_total"]


async def test_a_second_step_is_carried_to_its_shard_and_back(make_town):
    """Also within one shard, and after the shard that it goes to was away."""
    town = await make_town(shards=2)
    near, far = town.shards
    here, there = made("rcv", 5, "here"), made("rcv", 105, "there")
    far.die()
    near.tell(Carry(11, "bat_near", "I", 1, here, 500, "cny"))
    near.tell(Carry(12, "bat_far", "I", 1, there, 500, "cny"))
    await town.soon(lambda: (11, "bat_near") in near.arrived)
    assert [] == far.landed

    await far.rise()

    await town.soon(lambda: (12, "bat_far") in near.arrived)
    assert (["bat_near"], ["bat_far"]) == (near.landed, far.landed)
    assert 0 == town.custody.stats()["custody_carries"]


async def test_a_return_in_the_account_reaches_the_shard(town):
    """Nobody asks about what was paid; the account says that it came back."""
    await town.bank.fund()
    order = instruct("back", account="6222000000008002")
    town.shards[0].tell(order)
    await town.settle()
    assert ["paid"] == town.shards[0].states(order)

    await town.live(town.bank.clock.now_ms() + 86_400_000)

    assert ("returned", "AC04") == town.shards[0].said[-1][1:]


NAMES = {"wechat-1": "wechat-1", "1900000001": "wechat-1", "20250101": "odd", "alipay": "alipay"}

REMITTANCES = {
    "wechat-1 20261121": ("wechat-1", 20261121),
    "1900000001 20261121": ("wechat-1", 20261121),
    "wechat-1 1900000001 20261121": ("wechat-1", 20261121),
    "清算,alipay/20261121;": ("alipay", 20261121),
    "20250101 20261121": ("odd", 20261121),
    "wechat-1": None,
    "20261121": None,
    "wechat-1 alipay 20261121": None,
    "wechat-1 20261121 20261120": None,
    "wechat-1 20261131": None,
    "wechat-10 20261121": None,
    "": None,
}


def test_a_remittance_text_names_one_account_and_one_day():
    """Or nobody's: nothing is guessed with other people's money."""
    assert REMITTANCES == {text: remittance.read(text, NAMES) for text in REMITTANCES}


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text):
    """And names what it names only where account and day stand in it."""
    told = remittance.read(text, NAMES)

    assert told is None or (told[0] in NAMES.values() and str(told[1]) in text)


@given(st.sampled_from(["wechat-1", "alipay"]), st.dates())
def test_what_is_written_is_read(account, day):
    """For days of this century, which dates in bills are."""
    date = day.year * 10_000 + day.month * 100 + day.day
    expected = (account, date) if 2000 <= day.year < 2100 else None

    assert expected == remittance.read(remittance.write(account, date), NAMES)
