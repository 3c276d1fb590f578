"""What a payer's page says in each state of its payment."""

from typing import Any, Final

from actors.pages import PageView
from gateway.errors import status_of
from gateway.payer.html import (
    LOCAL_TARGETS,
    POLL_MS,
    Shown,
    amount_field,
    hidden,
    money,
    wallets_line,
)
from gateway.payer.visit import Visit
from gateway.payer.words import wallet_name, word
from gateway.settings_shape import Settings
from payments.errors import NotFound, PaymentError, Unavailable

OPEN: Final = "requires_payer"
LIVE_TARGETS: Final = "https://open.weixin.qq.com https://openauth.alipay.com https://qr.95516.com"
"""Where the wallets ask who pays; a form may end there after its redirect, and nowhere else."""


def form_targets(settings: Settings) -> str:
    """For the policy: the wallets' own hosts, in test mode the sandboxes on this machine too."""
    return LIVE_TARGETS if settings.mode == "live" else f"{LIVE_TARGETS} {LOCAL_TARGETS}"


def payment_page(view: PageView, visit: Visit, shop: str, token: str, *, livemode: bool) -> Shown:
    """The page of a payment as it stands. `shop`: who is paid."""
    language = visit.language
    facts: dict[str, Any] = {
        "language": language,
        "shop": shop,
        "subject": view.subject or "",
        "order_no": view.order_no,
        "amount": money(view.amount, view.currency),
        "target": f"/p/{token}/pay",
        "is_test": not livemode,
        "trouble": _trouble(view, language),
    }
    if view.status != OPEN:
        return Shown(**facts, **_ended(view, language, token))
    if view.expires_at is not None and view.now >= view.expires_at:
        message = word(language, "expired")
        return Shown(**facts, message=message, state=_state(view, token, starts=False))
    if view.mine and view.attempt == "shown":
        return Shown(**facts, **_sheet(view, language, token, livemode=livemode))
    if view.mine:
        message = word(language, "wait")
        return Shown(**facts, message=message, state=_state(view, token, starts=False))
    return Shown(**facts, **_choice(view, visit, token, livemode=livemode))


def _trouble(view: PageView, language: str) -> str:
    if view.trouble is not None:
        return word(language, view.trouble)
    if view.failure is not None and view.status == OPEN:
        return word(language, "channel_error")
    return ""


def _state(view: PageView, token: str, *, starts: bool) -> dict[str, Any]:
    """What the script works with."""
    return {
        "status": view.status,
        "attempt": view.attempt,
        "wallet": view.wallet,
        "client_params": view.client_params,
        "pay_url": view.pay_url,
        "starts": starts,
        "poll_ms": POLL_MS,
        "status_url": f"/p/{token}/status",
        "page_url": f"/p/{token}",
    }


def _ended(view: PageView, language: str, token: str) -> dict[str, Any]:
    """A payment that is over, or whose end is being confirmed."""
    state = _state(view, token, starts=False) if view.status == "processing" else None
    back_url = view.return_url or "" if view.status == "succeeded" else ""
    return {
        "mark": view.status,
        "message": word(language, view.status),
        "back_url": back_url,
        "state": state,
    }


def _sheet(view: PageView, language: str, token: str, *, livemode: bool) -> dict[str, Any]:
    """The wallet's own payment sheet is open, or can be opened again."""
    name = wallet_name(language, view.wallet or "")
    actions: tuple[tuple[str, str, str, bool], ...] = ()
    if not livemode:
        actions = (
            ("act", "pay", word(language, "test_pay"), False),
            ("act", "decline", word(language, "test_decline"), False),
        )
    return {
        "message": word(language, "confirm", wallet=name),
        "again": word(language, "again", wallet=name),
        "actions": actions,
        "state": _state(view, token, starts=True),
    }


def _choice(view: PageView, visit: Visit, token: str, *, livemode: bool) -> dict[str, Any]:
    """Nobody has begun, or somebody else has: the wallet whose browser this is may."""
    language = visit.language
    state = _state(view, token, starts=False)
    if not view.is_page:
        # A channel that takes every wallet by itself; in test mode this page is its payer.
        button = ("act", "pay", word(language, "pay"), True)
        return {"actions": () if livemode else (button,), "state": state}
    if visit.wallet is not None and visit.wallet in view.wallets:
        name = wallet_name(language, visit.wallet)
        return {
            "message": word(language, "pay_by", wallet=name),
            "actions": (("wallet", visit.wallet, word(language, "pay"), True),),
            "state": state,
        }
    line = word(language, "scan", wallets=wallets_line(language, view.wallets))
    if livemode:
        return {"message": line, "state": state}
    actions = tuple(
        ("wallet", wallet, wallet_name(language, wallet), False) for wallet in view.wallets
    )
    return {"message": word(language, "choose"), "actions": actions, "state": state}


def plate_page(
    visit: Visit,
    shop: str,
    label: str,
    token: str,
    session: str,
    *,
    trouble: str,
    typed: str,
    is_open: bool,
    livemode: bool,
) -> Shown:
    """The page of a plate: an amount to key in, or the word that it is out of use."""
    language = visit.language
    facts: dict[str, Any] = {
        "language": language,
        "shop": shop,
        "subject": label,
        "is_test": not livemode,
    }
    if not is_open:
        return Shown(**facts, trouble=word(language, "disabled"))
    return Shown(
        **facts,
        target=f"/p/{token}/pay",
        trouble=word(language, trouble) if trouble else "",
        fields=hidden("session", session) + amount_field(language, typed),
        actions=(("next", "1", word(language, "next"), True),),
    )


def message_page(error: PaymentError, visit: Visit, *, livemode: bool) -> tuple[int, Shown]:
    """The status and the page of an error: a person reads no problem details."""
    language = visit.language
    if isinstance(error, NotFound):
        key = "unknown"
    elif isinstance(error, Unavailable) or error.retryable:
        key = "busy"
    else:
        key = "over"
    shown = Shown(language, trouble=word(language, key), is_test=not livemode)
    return status_of(error), shown
