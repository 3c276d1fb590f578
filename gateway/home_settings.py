"""From the settings of the way home to what a shard is told."""

from actors.home_options import HomeOptions
from gateway.modules import CUSTODY
from gateway.settings_home import calendar_of
from gateway.settings_shape import Settings
from payments import chart
from payments.clearing.terms import Terms, cycle_of
from payments.fees import FeePlan
from payments.settlement.holds import Funder
from payments.settlement.instruction import Policy
from payments.settlement.withdrawal import Limits


def custody_of(settings: Settings) -> str:
    """The custody account's name in our chart; empty without a bank."""
    bank = settings.bank
    return chart.custody(bank.name, bank.custody_account) if bank is not None else ""


def home_options(settings: Settings) -> HomeOptions:
    """What shards read about clearing, payouts, withdrawals and advances."""
    agreed, out = settings.settlement, settings.settlement.withdrawals
    return HomeOptions(
        custody=custody_of(settings),
        workdays=calendar_of(settings.workdays, agreed),
        rules=agreed.rules,
        terms=Terms(cycle_of(agreed.cycle), agreed.minimum_minor),
        funders={name: Funder(name, limit) for name, limit in agreed.funders.items()},
        payouts=Policy(agreed.alone_max_minor),
        withdrawals=Limits(
            out.single_min_minor,
            out.single_max_minor,
            out.day_max_minor,
            out.day_count_max,
            out.review_above_minor,
        ),
        withdrawal_fee=FeePlan("withdrawal", out.fee_ppm, out.fee_min_minor),
        payout_minute=agreed.payout_minute,
        is_clearing=CUSTODY in settings.modules,
        pays_receivers=agreed.receivers == "auto",
        receivers_minimum=agreed.receivers_minimum_minor,
    )
