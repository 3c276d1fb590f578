"""WeChat Pay's refusals: their codes, the HTTP status of each, and the body that carries them.

Source: WeChat Pay API v3, "error codes": `{"code","message","detail":{field,value,issue,location}}`
where `field` is a JSON pointer. Codes of payment codes are those of the older interface, which the
newer pages repeat. None of these answers is signed.
"""

from typing import Any, Final

import msgspec

VALUE_MAX_CHARACTERS: Final = 64
"""A refused value is echoed so far."""

STATUS: Final[dict[str, int]] = {
    "PARAM_ERROR": 400,
    "INVALID_REQUEST": 400,
    "APPID_MCHID_NOT_MATCH": 400,
    "MCH_NOT_EXISTS": 400,
    "ORDER_CLOSED": 400,
    "ORDERPAID": 400,
    "ORDERREVERSED": 400,
    "AUTHCODEEXPIRE": 400,
    "AUTH_CODE_INVALID": 400,
    "NO_STATEMENT_EXIST": 400,
    "STATEMENT_CREATING": 400,
    "SIGN_ERROR": 401,
    "NO_AUTH": 403,
    "OUT_TRADE_NO_USED": 403,
    "RULE_LIMIT": 403,
    "TRADE_ERROR": 403,
    "NOT_ENOUGH": 403,
    "USER_ACCOUNT_ABNORMAL": 403,
    "ORDER_NOT_EXIST": 404,
    "RESOURCE_NOT_EXISTS": 404,
    "FREQUENCY_LIMITED": 429,
    "RATELIMIT_EXCEEDED": 429,
    "SYSTEM_ERROR": 500,
    "BANK_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
    "USERPAYING": 202,
}
"""MCH_NOT_EXISTS is 404 where refunds are concerned."""

MESSAGES: Final[dict[str, str]] = {
    "PARAM_ERROR": "参数错误",
    "INVALID_REQUEST": "请求不符合业务规则",
    "APPID_MCHID_NOT_MATCH": "appid和mchid不匹配",
    "MCH_NOT_EXISTS": "商户号不存在",
    "ORDER_CLOSED": "订单已关闭",
    "ORDERPAID": "订单已支付",
    "ORDERREVERSED": "订单已撤销",
    "AUTHCODEEXPIRE": "付款码已过期，请用户刷新后重试",
    "AUTH_CODE_INVALID": "付款码无效，请扫描微信付款码",
    "NO_STATEMENT_EXIST": "账单文件不存在",
    "STATEMENT_CREATING": "账单生成中",
    "SIGN_ERROR": "错误的签名，导致验签失败",
    "NO_AUTH": "商户无权限",
    "OUT_TRADE_NO_USED": "商户订单号重复",
    "RULE_LIMIT": "业务规则限制",
    "TRADE_ERROR": "交易错误",
    "NOT_ENOUGH": "余额不足",
    "USER_ACCOUNT_ABNORMAL": "用户账户异常",
    "ORDER_NOT_EXIST": "订单不存在",
    "RESOURCE_NOT_EXISTS": "查询的资源不存在",
    "FREQUENCY_LIMITED": "频率超限",
    "RATELIMIT_EXCEEDED": "频率超限",
    "SYSTEM_ERROR": "系统异常，请稍后重试",
    "BANK_ERROR": "银行系统异常",
    "SERVICE_UNAVAILABLE": "服务暂不可用",
    "USERPAYING": "用户支付中",
}


class Refusal(Exception):
    """The sandbox refuses a request. `detail`: what the answer's `detail` holds, if anything."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        detail: dict[str, Any] | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or MESSAGES[code]
        self.detail = detail
        self.status = status or STATUS[code]

    def body(self) -> bytes:
        told: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            told["detail"] = self.detail
        return msgspec.json.encode(told)


def wrong_field(pointer: str, value: object, issue: str, location: str = "body") -> Refusal:
    """PARAM_ERROR about one field. `pointer`: JSON pointer, such as `/amount/total`."""
    shown = value[:VALUE_MAX_CHARACTERS] if isinstance(value, str) else value
    if isinstance(value, dict | list):
        shown = None
    detail = {"field": pointer, "value": shown, "issue": issue, "location": location}
    return Refusal("PARAM_ERROR", detail=detail)
