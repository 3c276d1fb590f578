"""People at tills, for locust: `locust -f load_tests/locustfile.py --host URL --api-key KEY`.

Each journey is what somebody does in a shop, with the waits of people. At the end everything that
was acknowledged is looked up again: a payment that is missing, doubled or of another amount is a
failed request named "money check", and with thresholds missed the exit code is 4.
"""

import json
import logging
import random
import time
import urllib.request
import uuid
from typing import Any, Final

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, between, events, tag, task
from locust.env import Environment
from locust.runners import MasterRunner

log = logging.getLogger(__name__)

PAYMENTS: Final = "/v1/payments"
WALLETS: Final = {"wechat": ("13", 12), "alipay": ("28", 12), "unionpay": ("62", 13)}
"""How payers' codes begin, and how many digits stand before the last four."""

PLAIN_ENDING: Final = "0001"
TROUBLE: Final = ("9001", "9003", "9005", "9012")
"""Endings that come to their end within seconds: a PIN, a refusal, a lost answer, a coupon."""

OPEN: Final = ("processing", "requires_payer")
WAIT_S: Final = 5
POLLS_MAX: Final = 15
BULK: Final = 10
CHECKS_MAX: Final = 20_000
CHECKS_AT_ONCE: Final = 16
CHECK_TIMEOUT_S: Final = 20.0
EXIT_THRESHOLD: Final = 4
MONEY_CHECK: Final = "money check"


@events.init_command_line_parser.add_listener
def _arguments(parser: Any) -> None:
    parser.add_argument("--api-key", env_var="TILLWAY_API_KEY", default="", is_secret=True,
                       help="bearer key of a test deployment: may pay and refund")  # fmt: skip
    parser.add_argument("--trouble", type=float, default=0.1,
                       help="share of barcode payments that are in doubt or refused")  # fmt: skip
    parser.add_argument("--wallets", default="wechat,alipay",
                       help="comma list: wechat, alipay, unionpay")  # fmt: skip
    parser.add_argument("--p99-ms-max", type=float, default=2_000.0,
                       help="threshold: p99 of a barcode payment without trouble")  # fmt: skip
    parser.add_argument("--failures-max", type=float, default=0.0,
                       help="threshold: share of requests that may fail")  # fmt: skip


class Promise:
    """What the gateway acknowledged of one order."""

    __slots__ = ("amount", "order_no", "payment", "refunded")

    def __init__(self, order_no: str, payment: str, amount: int) -> None:
        self.order_no, self.payment, self.amount = order_no, payment, amount
        self.refunded = 0


PROMISES: Final[list[Promise]] = []
"""Of everybody in this process."""


class Person(FastHttpUser):
    """Somebody with a key."""

    abstract = True
    wait_time = between(0.2, 1.0)

    def on_start(self) -> None:
        options = self.environment.parsed_options
        assert options is not None
        if not options.api_key:
            raise SystemExit("say --api-key, or TILLWAY_API_KEY: the demo prints one")
        self.trouble = options.trouble
        self.wallets = [name for name in options.wallets.split(",") if name in WALLETS]
        self.authorized = {"Authorization": f"Bearer {options.api_key}"}

    def order(self, **fields: Any) -> dict[str, Any]:
        """The body of a payment, with an order number and an amount of its own."""
        amount = random.randrange(600, 12_000)
        number = f"loc-{uuid.uuid4().hex[:24]}"
        return {"order_no": number, "amount": amount, "currency": "cny", **fields}

    def code(self, ending: str) -> str:
        """What a payer shows."""
        head, width = WALLETS[random.choice(self.wallets)]
        return f"{head}{random.randrange(10**width):0{width}d}{ending}"

    def create(self, body: dict[str, Any], name: str, key: str | None = None) -> dict[str, Any]:
        """POST the payment; {} when it failed (which locust counts)."""
        headers = {
            **self.authorized,
            "Idempotency-Key": key or uuid.uuid4().hex,
            "Prefer": f"wait={WAIT_S}",
        }
        with self.client.post(
            PAYMENTS, json=body, headers=headers, name=name, catch_response=True
        ) as answer:
            if answer.status_code not in (201, 202):
                answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")
                return {}
            made: dict[str, Any] = answer.json()
        return made

    def await_end(self, payment: dict[str, Any]) -> dict[str, Any]:
        """Ask until it is final, as a till does."""
        for _ in range(POLLS_MAX):
            if payment.get("status") not in OPEN:
                break
            with self.client.get(
                f"{PAYMENTS}/{payment['id']}?wait={WAIT_S}",
                headers=self.authorized, name="GET /v1/payments/{id}?wait", catch_response=True,
            ) as answer:  # fmt: skip
                if answer.status_code != 200:
                    answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")
                    break
                payment = answer.json()
        return payment

    def keep(self, payment: dict[str, Any]) -> Promise | None:
        """Remember what was acknowledged as paid."""
        if payment.get("status") != "succeeded":
            return None
        promise = Promise(payment["order_no"], payment["id"], payment["amount"])
        PROMISES.append(promise)
        return promise

    def pay_by_barcode(self, ending: str = PLAIN_ENDING) -> dict[str, Any]:
        name = "POST barcode" if ending == PLAIN_ENDING else "POST barcode, trouble"
        return self.create(self.order(way="barcode", auth_code=self.code(ending)), name)


class Till(Person):
    """A till that scans customers; some of them have trouble paying."""

    weight = 6

    @tag("barcode")
    @task
    def scan_customer(self) -> None:
        ending = PLAIN_ENDING
        if random.random() < self.trouble:
            ending = random.choice(TROUBLE)
        self.keep(self.await_end(self.pay_by_barcode(ending)))


class CodeTill(Person):
    """A till that shows a code and asks until the customer has paid."""

    weight = 2

    @tag("code")
    @task
    def show_code(self) -> None:
        wallet = random.choice(self.wallets)
        shown = self.create(self.order(way="qr", wallet=wallet), "POST qr")
        if shown.get("status") != "requires_payer":
            return
        gevent.sleep(random.uniform(0.5, 2.0))
        self.client.post(
            f"/v1/test_helpers/payments/{shown['id']}/pay",
            headers=self.authorized, name="the customer pays",
        )  # fmt: skip
        self.keep(self.await_end(shown))


class HastyCashier(Person):
    """Taps twice: the same key at the same time must be one payment."""

    weight = 1

    @tag("double_tap")
    @task
    def tap_twice(self) -> None:
        body = self.order(way="barcode", auth_code=self.code(PLAIN_ENDING))
        key = uuid.uuid4().hex
        taps = [gevent.spawn(self.create, body, "POST barcode, double tap", key) for _ in range(2)]
        gevent.joinall(taps)
        made = [tap.value for tap in taps if tap.value]
        if len({payment["id"] for payment in made}) > 1:
            report(self.environment, f"{body['order_no']}: two payments for one key")
        if made:
            self.keep(self.await_end(made[0]))


class Returner(Person):
    """Gives money back, in two parts, the second one too large at times."""

    weight = 1

    @tag("refund")
    @task
    def refund_in_parts(self) -> None:
        promise = self.keep(self.await_end(self.pay_by_barcode()))
        if promise is None:
            return
        for amount in (promise.amount // 3, promise.amount - promise.amount // 3, 1):
            with self.client.post(
                f"{PAYMENTS}/{promise.payment}/refunds", json={"amount": amount},
                headers={**self.authorized, "Idempotency-Key": uuid.uuid4().hex},
                name="POST refund", catch_response=True,
            ) as answer:  # fmt: skip
                too_much = promise.refunded + amount > promise.amount
                if answer.status_code in (201, 202) and not too_much:
                    promise.refunded += amount
                elif answer.status_code == 422 and too_much:
                    answer.success()
                else:
                    answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")


class Saas(Person):
    """A restaurant's software that sends a table's bills at once, then lists them."""

    weight = 1
    wait_time = between(2.0, 5.0)

    @tag("bulk")
    @task
    def send_bills(self) -> None:
        bills = [gevent.spawn(self.pay_by_barcode) for _ in range(BULK)]
        gevent.joinall(bills)
        for bill in bills:
            self.keep(self.await_end(bill.value or {}))
        self.client.get(f"{PAYMENTS}?limit=50", headers=self.authorized, name="GET list")


# --- the money check -----------------------------------------------------------------------------


def report(environment: Environment, complaint: str, took_s: float = 0.0) -> None:
    """Say something about the money in locust's own statistics. An empty complaint: it is right."""
    environment.events.request.fire(
        request_type="CHECK", name=MONEY_CHECK, response_time=took_s * 1000, response_length=0,
        exception=AssertionError(complaint) if complaint else None, context={},
    )  # fmt: skip


def complaint_about(promise: Promise, listed: list[dict[str, Any]]) -> str:
    """What is wrong with what the gateway keeps of a promise; empty: nothing."""
    paid = [each for each in listed if each["status"] == "succeeded"]
    if [promise.payment] != [each["id"] for each in paid]:
        return f"{promise.order_no}: promised {promise.payment}, kept {[e['id'] for e in paid]}"
    if paid[0]["amount"] != promise.amount:
        return f"{promise.order_no}: promised {promise.amount}, kept {paid[0]['amount']}"
    if paid[0]["amount_refunded"] > promise.amount:
        return f"{promise.order_no}: refunded more than was paid"
    if paid[0]["amount_refunded"] < promise.refunded:
        return f"{promise.order_no}: {promise.refunded} refunded, kept {paid[0]['amount_refunded']}"
    return ""


@events.test_stop.add_listener
def check_money(environment: Environment, **_: Any) -> None:
    """Look everything up that was acknowledged to the people of this process."""
    promises = PROMISES
    if isinstance(environment.runner, MasterRunner) or not promises:
        return
    options = environment.parsed_options
    assert options is not None
    headers = {"Authorization": f"Bearer {options.api_key}"}

    def check(promise: Promise) -> None:
        began = time.perf_counter()
        # Not by locust's client: these requests are no part of the load.
        url = f"{environment.host}{PAYMENTS}?order_no={promise.order_no}"
        asked = urllib.request.Request(url, headers=headers)  # noqa: S310 - the host is given
        try:
            with urllib.request.urlopen(asked, timeout=CHECK_TIMEOUT_S) as answer:  # noqa: S310
                complaint = complaint_about(promise, json.load(answer)["data"])
        except OSError as error:
            complaint = f"{promise.order_no}: cannot be looked up: {error}"
        report(environment, complaint, time.perf_counter() - began)

    chosen = random.sample(promises, min(len(promises), CHECKS_MAX))
    pool = Pool(CHECKS_AT_ONCE)
    pool.map(check, chosen)
    log.info("money check: %d of %d acknowledged payments looked up", len(chosen), len(promises))


@events.quitting.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """Exit code 4 when a threshold was missed or money is not where it was promised to be."""
    options = environment.parsed_options
    assert options is not None
    stats = environment.stats
    wrong = stats.get(MONEY_CHECK, "CHECK").num_failures
    p99_ms = stats.get("POST barcode", "POST").get_response_time_percentile(0.99) or 0
    share = stats.total.fail_ratio
    missed = [
        text
        for is_missed, text in (
            (wrong > 0, f"{wrong} payments are not what was acknowledged"),
            (p99_ms > options.p99_ms_max, f"p99 {p99_ms:.0f} ms > {options.p99_ms_max:.0f} ms"),
            (options.headless and not stats.total.num_requests, "nothing was sent"),
            (share > options.failures_max, f"{share:.2%} of the requests failed"),
        )
        if is_missed
    ]
    for text in missed:
        log.error("threshold missed: %s", text)
    environment.process_exit_code = EXIT_THRESHOLD if missed else 0
