"""The words of the payer's page, in both its languages. Keys are the same in each."""

from typing import Final

from gateway.payer.visit import CHINESE, ENGLISH

WALLETS: Final = {
    CHINESE: {"wechat": "微信支付", "alipay": "支付宝", "unionpay": "云闪付", "ecny": "数字人民币"},
    ENGLISH: {
        "wechat": "WeChat Pay",
        "alipay": "Alipay",
        "unionpay": "UnionPay",
        "ecny": "e-CNY",
    },
}

WORDS: Final[dict[str, dict[str, str]]] = {
    CHINESE: {
        "pay": "确认支付",
        "pay_with": "{wallet}",
        "pay_by": "使用{wallet}付款",
        "scan": "请使用以下应用扫码付款：{wallets}",
        "choose": "测试模式：请选择钱包",
        "order": "订单号",
        "confirm": "请在{wallet}中确认付款",
        "again": "重新打开{wallet}",
        "wait": "请稍候…",
        "test_pay": "测试：付款",
        "test_decline": "测试：拒绝",
        "succeeded": "支付成功",
        "failed": "支付未完成",
        "closed": "该订单已关闭",
        "reversed": "支付已撤销",
        "processing": "正在确认支付结果",
        "expired": "该二维码已过期，请让商家重新出示",
        "over": "该订单已结束",
        "closing": "该订单正在关闭",
        "too_many": "尝试次数过多，请让商家重新出示二维码",
        "no_channel": "该支付方式暂不可用，请稍后再试或更换应用",
        "unnamed": "未能确认付款人，请重试",
        "refused": "无法使用此账户付款",
        "channel_error": "支付渠道未接受该订单，请重试或更换应用",
        "unknown": "找不到该页面，请重新扫码",
        "disabled": "该收款码已停用",
        "busy": "系统繁忙，请稍后再试",
        "back": "返回商家",
        "test": "测试模式，不会产生真实扣款",
        "amount": "付款金额（元）",
        "next": "下一步",
        "bad_amount": "请输入正确的金额",
        "again_session": "页面已过期，请重新输入金额",
        "title": "付款",
    },
    ENGLISH: {
        "pay": "Pay",
        "pay_with": "{wallet}",
        "pay_by": "Paying with {wallet}",
        "scan": "Scan this code with: {wallets}",
        "choose": "Test mode: choose a wallet",
        "order": "Order",
        "confirm": "Confirm the payment in {wallet}",
        "again": "Open {wallet} again",
        "wait": "One moment…",
        "test_pay": "Test: pay",
        "test_decline": "Test: decline",
        "succeeded": "Paid",
        "failed": "Not paid",
        "closed": "This order is closed",
        "reversed": "The payment was undone",
        "processing": "Waiting for the result",
        "expired": "This code has expired; ask the shop for a new one",
        "over": "This order is over",
        "closing": "This order is being closed",
        "too_many": "Too many tries; ask the shop for a new code",
        "no_channel": "This way to pay is not available just now; try again or use another app",
        "unnamed": "The wallet did not say who pays; try again",
        "refused": "This account cannot pay here",
        "channel_error": "The channel did not take the order; try again or use another app",
        "unknown": "There is no such page; scan the code again",
        "disabled": "This code is no longer in use",
        "busy": "Too busy just now; try again in a moment",
        "back": "Back to the shop",
        "test": "Test mode: no real money moves",
        "amount": "Amount (CNY)",
        "next": "Continue",
        "bad_amount": "This is not an amount",
        "again_session": "The page was too old; key the amount in again",
        "title": "Pay",
    },
}


def word(language: str, key: str, **values: str) -> str:
    """A word in a language; `values` fill it and are not escaped here."""
    return WORDS[language][key].format(**values)


def wallet_name(language: str, wallet: str) -> str:
    """A wallet as its users call it."""
    return WALLETS[language].get(wallet, wallet)
