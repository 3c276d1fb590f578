"""The payer's page as HTML: one document, no request to anywhere else, no script that is not ours.

Style and script stand in the document; the policy names them by their hashes, so that nothing that
somebody managed to write into a subject or a name could ever run. Every value is escaped.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any, Final

from msgspec import Struct
from msgspec.json import encode

from gateway.payer.words import wallet_name, word

HTML: Final = "text/html; charset=utf-8"
POLL_MS: Final = 2_000
REFRESH_S: Final = 3
"""Where no script runs, the page asks again by itself so often."""

SYMBOLS: Final = {"cny": "¥"}
MARKS: Final = {"succeeded": ("✓", "good"), "failed": ("✕", "bad")}
LOCAL_TARGETS: Final = "http://127.0.0.1:* http://localhost:*"


class Shown(Struct, frozen=True):
    """What one page shows. `actions`: (name, value, words, is the main one) of its form's buttons.

    `state`: for the script; None for a page that stays as it is.
    """

    language: str
    title: str = ""
    shop: str = ""
    subject: str = ""
    order_no: str = ""
    amount: str = ""
    mark: str = ""
    message: str = ""
    trouble: str = ""
    target: str = ""
    actions: tuple[tuple[str, str, str, bool], ...] = ()
    again: str = ""
    back_url: str = ""
    fields: str = ""
    state: dict[str, Any] | None = None
    is_test: bool = False


@cache
def _asset(name: str) -> tuple[str, str]:
    """A file of this folder and its hash, as the policy names it."""
    text = files("gateway.payer").joinpath(name).read_text(encoding="utf-8")
    digest = b64encode(sha256(text.encode()).digest()).decode("ascii")
    return text, f"'sha256-{digest}'"


def policy(form_targets: str) -> str:
    """The Content-Security-Policy of every page. `form_targets`: where a form may lead to."""
    return (
        f"default-src 'none'; style-src {_asset('page.css')[1]}; "
        f"script-src {_asset('page.js')[1]}; connect-src 'self'; "
        f"form-action 'self' {form_targets}; base-uri 'none'; frame-ancestors 'none'"
    )


def header_lines(form_targets: str) -> bytes:
    """What each page is sent with."""
    return (
        f"Content-Security-Policy: {policy(form_targets)}\r\n"
        "Referrer-Policy: no-referrer\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Vary: Accept, Accept-Language, Cookie, User-Agent\r\n"
    ).encode("ascii")


def money(minor: int, currency: str) -> str:
    """An amount as a payer reads it: 3800 -> ¥38.00."""
    major, rest = divmod(minor, 100)
    return f"{SYMBOLS.get(currency, currency.upper() + ' ')}{major}.{rest:02}"


def render(shown: Shown) -> bytes:
    """The whole document."""
    language = shown.language
    head = (
        f'<!doctype html><html lang="{escape(language)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex">'
        f"<title>{escape(shown.title or word(language, 'title'))}</title>"
        f"<style>{_asset('page.css')[0]}</style>{_refresh(shown)}</head>"
    )
    body = "".join((*_facts(shown), *_form(shown), *_foot(shown)))
    card = f'<main><div class="card">{body}</div></main>'
    return f"{head}<body>{card}{_script(shown)}</body></html>".encode()


def _refresh(shown: Shown) -> str:
    if shown.state is None or not shown.state.get("poll_ms"):
        return ""
    # With its address: a wallet's return leaves a fragment, and that alone would load nothing.
    target = escape(f"{REFRESH_S};url={shown.state['page_url']}")
    return f'<noscript><meta http-equiv="refresh" content="{target}"></noscript>'


def _facts(shown: Shown) -> list[str]:
    mark, kind = MARKS.get(shown.mark, ("", ""))
    parts = [f"<h1>{escape(shown.shop)}</h1>" if shown.shop else ""]
    if shown.subject:
        parts.append(f'<p class="soft">{escape(shown.subject)}</p>')
    if mark:
        parts.append(f'<p class="mark {kind}" aria-hidden="true">{mark}</p>')
    if shown.amount:
        parts.append(f'<p class="sum">{escape(shown.amount)}</p>')
    if shown.message:
        parts.append(f'<p role="status"{_class(kind)}>{escape(shown.message)}</p>')
    if shown.trouble:
        parts.append(f'<p role="alert" class="bad">{escape(shown.trouble)}</p>')
    return parts


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _form(shown: Shown) -> list[str]:
    parts = []
    if shown.again:
        parts.append(f'<button type="button" id="again">{escape(shown.again)}</button>')
    if shown.actions or shown.fields:
        buttons = "".join(
            f'<button name="{escape(name)}" value="{escape(value)}"'
            f"{'' if is_main else _class('plain')}>{escape(words)}</button>"
            for name, value, words, is_main in shown.actions
        )
        target = escape(shown.target)
        parts.append(f'<form method="post" action="{target}">{shown.fields}{buttons}</form>')
    return parts


def _foot(shown: Shown) -> list[str]:
    language = shown.language
    parts = []
    if shown.back_url:
        url = escape(shown.back_url)
        words = escape(word(language, "back"))
        parts.append(f'<a class="button" rel="noreferrer" href="{url}">{words}</a>')
    if shown.order_no:
        words = escape(word(language, "order"))
        parts.append(f'<p class="soft">{words} {escape(shown.order_no)}</p>')
    if shown.is_test:
        parts.append(f'<p class="soft">{escape(word(language, "test"))}</p>')
    return parts


def _script(shown: Shown) -> str:
    if shown.state is None:
        return ""
    # Inside a script element only `<` can end it; JSON has its own way to write that character.
    data = encode(shown.state).decode().replace("<", "\\u003c")
    return (
        f'<script type="application/json" id="page">{data}</script>'
        f"<script>{_asset('page.js')[0]}</script>"
    )


def hidden(name: str, value: str) -> str:
    """A field that nobody sees."""
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def amount_field(language: str, value: str) -> str:
    """Where the payer of a plate keys the amount in."""
    words = escape(word(language, "amount"))
    return (
        f'<label for="amount">{words}</label><input id="amount" name="amount" required autofocus '
        f'inputmode="decimal" autocomplete="off" maxlength="10" pattern="[0-9]+([.][0-9]{{1,2}})?" '
        f'value="{escape(value)}">'
    )


def wallets_line(language: str, wallets: tuple[str, ...]) -> str:
    """The wallets that may scan, as a list in words."""
    separator = "、" if language.startswith("zh") else ", "
    return separator.join(wallet_name(language, wallet) for wallet in wallets)
