"""A connector of Alipay's with a fake client: real signatures, no socket, any answer."""

import json
from urllib.parse import urlsplit

from payments.channels.alipay import wire
from payments.channels.alipay.connector import ONLY_KEY, AlipayChannel, AlipaySettings
from payments.channels.base import OrderRef, PayOrder, RefundOrder
from payments.channels.signing import PooledSigner, PooledVerifier, SigningPool
from payments.channels.transport import HttpAnswer
from payments.clock import ManualClock
from payments.payment import Way
from rigs import rsa_key

APP_ID, SELLER, NUMBER, TRADE = "2021000000000001", "2088000000000001", "01K5AZ", "2026112222001"
SETTINGS = AlipaySettings(
    app_id=APP_ID,
    gateway="https://gateway.example/gateway.do",
    seller_id=SELLER,
    notify_url="https://us.example/callbacks/alipay/a/t",
)
ORDER = PayOrder(
    NUMBER, 3800, "cny", Way.BARCODE, "alipay", "mch_1",
    auth_code="281234567890120000", subject="noodles", created=1_795_000_000_000,
)  # fmt: skip
ABOUT = OrderRef(NUMBER, 3800, "cny", Way.BARCODE, "alipay", "mch_1", 1_795_000_000_000)
BACK = RefundOrder(NUMBER, "R1", 1000, 3800, "cny", merchant="mch_1")
PAID = {
    "code": "10000", "msg": "Success", "out_trade_no": NUMBER, "trade_no": TRADE,
    "total_amount": "38.00", "receipt_amount": "38.00", "buyer_pay_amount": "38.00",
}  # fmt: skip
REFUNDED = {
    "code": "10000", "out_trade_no": NUMBER, "trade_no": TRADE, "out_request_no": "R1",
    "refund_amount": "10.00", "refund_status": "REFUND_SUCCESS",
}  # fmt: skip


def failed(sub_code, code="40004", **more):
    return {"code": code, "msg": "", "sub_code": sub_code, "sub_msg": "", **more}


class FakeHttp:
    """Gives answers in turn, the last one again and again; keeps what was asked.

    An answer is a response object (signed by the channel), an exception, or an HttpAnswer.
    """

    def __init__(self):
        self.answers = []
        self.sent = []
        self.key = rsa_key("channel")

    async def send(self, request):
        params = wire.merged(urlsplit(request.url).query, request.body)
        self.sent.append((request, params))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, HttpAnswer) else self.signed(params["method"], answer)

    def signed(self, method, facts, certificate=None):
        text = facts if isinstance(facts, str) else json.dumps(facts, ensure_ascii=False)
        signature = wire.sign(self.key, text.encode())
        body = wire.joined(wire.response_name(method), text, signature, certificate)
        return HttpAnswer(200, {}, body.encode())

    @property
    def params(self):
        """Of the last request."""
        return self.sent[-1][1]

    @property
    def biz(self):
        return json.loads(self.params["biz_content"])


class World:
    def __init__(self, settings=SETTINGS, verifiers=(ONLY_KEY,)):
        self.http = FakeHttp()
        self.clock = ManualClock()
        self.pool = SigningPool("test")
        self.signer = PooledSigner(self.pool, rsa_key("shop"))
        verifier = PooledVerifier(self.pool, rsa_key("channel").public_key())
        keys = dict.fromkeys(verifiers, verifier)
        self.channel = AlipayChannel(settings, self.http, self.signer, keys, self.clock)

    def answers(self, *answers):
        self.http.answers = list(answers)
        return self.channel
