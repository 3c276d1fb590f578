"""Settings of the way home: what shards and the custody box are told, and what is refused."""

import pytest

from gateway.home_settings import home_options
from gateway.settings import SettingsError, load
from gateway.settings_home import Bank
from payments.splitting.escrow import DAY_MS, wanted

BANK = """
[bank]
name = "icbc"
base_url = "https://bank.example.com"
customer_id = "TILLWAY01"
custody_account = "1102000099000012345"
customer_key = "file:/etc/tillway/ours.pem"
bank_key = "file:/etc/tillway/theirs.pem"
"""


def loaded(tmp_path, toml="", **environ):
    path = tmp_path / "tillway.toml"
    path.write_text(toml)
    return load(path, {}, {"XDG_DATA_HOME": str(tmp_path), **environ})


def test_without_a_bank_nothing_goes_out(tmp_path):
    """Rules and calendar are there; the custody account has no name, and no payout is alone."""
    options = home_options(loaded(tmp_path))

    assert ("", 0, "T+1") == (options.custody, options.payouts.alone_max, str(options.terms.cycle))
    assert 20161201 == options.rules[0].effective_from
    assert 20260224 == options.workdays.next_working(20260213 + 2)


def test_a_file_says_what_differs(tmp_path):
    """The bank, a year published since, days on which the bank differs, who may advance."""
    toml = (
        BANK
        + """
[settlement]
alone_max_minor = 100
closed_on = [20261124]
open_on = [20261122]
[settlement.funders]
credit = 5000
[settlement.withdrawals]
day_count_max = 3
fee_min_minor = 10
[workdays.2027]
source = "made for tests"
holidays = [[20270101, 20270103]]
"""
    )
    options = home_options(loaded(tmp_path, toml))

    assert "custody:icbc:1102000099000012345" == options.custody
    assert (100, 3, 10) == (
        options.payouts.alone_max,
        options.withdrawals.day_count_max,
        options.withdrawal_fee.minimum,
    )
    assert ("credit", 5_000) == (options.funders["credit"].name, options.funders["credit"].limit)
    days = [options.workdays.next_working(day) for day in (20261121, 20261123, 20261231)]
    assert [20261122, 20261125, 20270104] == days


REFUSED = {
    BANK.replace("https", "http"): "https",
    BANK.replace("https://bank.example.com", ""): "base_url",
    BANK.replace("file:/etc/tillway/ours.pem", "-----BEGIN PRIVATE KEY-----MIIE"): "customer_key",
    '[settlement]\ncycle = "T1"': "T+1",
    "[settlement]\nclosed_on = [20400101]": "2040",
    '[workdays.2027]\nsource = "x"\nholidays = [[20280101, 20280102]]': "2027",
    "[settlement]\nalone_max = 5": "alone_max_minor",
}


@pytest.mark.parametrize(("toml", "word"), REFUSED.items())
def test_what_is_wrong_is_told(tmp_path, toml, word):
    """With the word that helps, and never with what may be a key."""
    with pytest.raises(SettingsError, match=word.replace("+", r"\+")) as refusal:
        loaded(tmp_path, toml)

    assert "MIIE" not in str(refusal.value)


def test_live_mode_has_no_sandbox_for_a_bank(tmp_path):
    """Nor an address that everybody can read along."""
    with pytest.raises(SettingsError, match="sandbox"):
        loaded(
            tmp_path,
            'mode = "live"\nrehearsal = true\n' + BANK + "sandbox = true\n",
        )


def test_a_banks_keys_are_references(tmp_path):
    """What is printed of the settings shows where they are, not what they are."""
    bank = loaded(tmp_path, BANK).bank

    assert isinstance(bank, Bank)
    assert bank.customer_key.startswith("file:")


@pytest.mark.parametrize("days", [1, 7, 30])
def test_what_is_held_ends_by_itself_after_the_days_that_were_agreed(tmp_path, days):
    """Where a payment does not say when; one that does is not changed by it."""
    toml = "" if days == 7 else f"[settlement]\nescrow_days = {days}\n"
    agreed = loaded(tmp_path, toml).settlement.escrow_days

    assert days * DAY_MS == wanted(0, None, agreed).until
    assert 5 == wanted(0, 5, agreed).until


@pytest.mark.parametrize("days", [0, 31])
def test_nothing_is_held_for_longer_than_thirty_days(tmp_path, days):
    with pytest.raises(SettingsError, match="escrow_days"):
        loaded(tmp_path, f"[settlement]\nescrow_days = {days}\n")


def test_receivers_are_paid_by_themselves_only_where_it_was_agreed(tmp_path):
    toml = '[settlement]\nreceivers = "auto"\nreceivers_minimum_minor = 100\n'

    plain, agreed = home_options(loaded(tmp_path)), home_options(loaded(tmp_path, toml))

    assert (False, 0) == (plain.pays_receivers, plain.receivers_minimum)
    assert (True, 100) == (agreed.pays_receivers, agreed.receivers_minimum)
