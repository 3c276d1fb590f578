"""The reconciler's box: what it takes from the settings of a channel account."""

import pytest

from gateway.reconciler_box import agreed_plan
from gateway.settings import SettingsError, load

SIMULATED = '[[channels]]\nname="a"\naccount="a"\nwallets=["wechat"]\nways=["qr"]\nfee_ppm={}\n'


def account_with(tmp_path, fee_ppm):
    path = tmp_path / "tillway.toml"
    path.write_text(SIMULATED.format(fee_ppm))
    (account,) = load(path, None, {"XDG_DATA_HOME": str(tmp_path)}).channels
    return account


def test_a_bill_is_held_to_the_fee_of_the_contract(tmp_path):
    """Free of charge is a contract, too; nobody's word is none."""
    plan = agreed_plan(account_with(tmp_path, 6_000))
    assert plan is not None
    assert 6_000 == plan.rate_ppm
    free = agreed_plan(account_with(tmp_path, 0))
    assert free is not None
    assert 0 == free.rate_ppm
    silent = load(None, None, {"XDG_DATA_HOME": str(tmp_path)}).channels[0]
    assert agreed_plan(silent) is None


def test_more_than_all_of_a_payment_is_no_fee(tmp_path):
    with pytest.raises(SettingsError, match="fee_ppm"):
        account_with(tmp_path, 1_000_001)
