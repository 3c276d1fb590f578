"""A payer's phone: a browser with cookies, a wallet's name in its User-Agent, and no script."""

import http.client
import json
import re
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

AGENTS = {
    "wechat": "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Mobile MicroMessenger/8.0.50 NetType/WIFI",
    "alipay": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 AlipayClient/10.6.0 Language/zh",
    "unionpay": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 com.unionpay/1.0 CloudPay",
    "safari": "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1",
}
REDIRECTS_MAX = 5
OTHER_BUYER = "2088000000000099"
TIMEOUT_S = 40


class _Words(HTMLParser):
    """The text of a page, its buttons and its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.buttons: list[dict[str, str | None]] = []
        self.inputs: list[dict[str, str | None]] = []
        self.form: dict[str, str | None] = {}
        self.tags: set[str] = set()
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._silent += tag in ("script", "style", "title")
        if tag == "button":
            self.buttons.append(dict(attrs))
        if tag == "input":
            self.inputs.append(dict(attrs))
        if tag == "form":
            self.form = dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "title")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)


class Seen:
    """One page as it came."""

    def __init__(self, status: int, headers: Any, content: bytes, url: str) -> None:
        self.status, self.headers, self.content, self.url = status, headers, content, url
        words = _Words()
        words.feed(content.decode())
        self.text = " ".join(part.strip() for part in words.text if part.strip())
        self.buttons, self.inputs, self.form, self.tags = (
            words.buttons,
            words.inputs,
            words.form,
            words.tags,
        )

    def __repr__(self) -> str:
        return f"Seen({self.status}, {self.url}, {self.text[:300]!r})"

    def state(self) -> str:
        """What the page tells its script, as text."""
        found = re.search(r'id="page">(.*?)</script>', self.content.decode(), re.DOTALL)
        return "" if found is None else found.group(1)


class Phone:
    """Opens addresses, follows where they lead, and presses buttons."""

    def __init__(
        self, wallet: str, language: str = "en", *, cookies: bool = True, payer: str = ""
    ) -> None:
        self.headers = {"User-Agent": AGENTS[wallet], "Accept-Language": language}
        self.headers["Accept"] = "text/html,application/xhtml+xml"
        self._takes_cookies = cookies
        self._payer = payer
        """Whom the sandboxes' OAuth is to name; empty: whom they always name."""
        self.cookies: dict[str, dict[str, str]] = {}
        self.visited: list[str] = []

    def send(self, method: str, url: str, form: dict[str, Any] | None = None) -> Seen:
        """One request, without following where it leads."""
        split = urlsplit(url)
        jar = self.cookies.setdefault(split.netloc, {})
        headers = dict(self.headers)
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        body = None
        if form is not None and "Content-Type" in headers:
            body = json.dumps(form)
        elif form is not None:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(split.netloc, timeout=TIMEOUT_S)
        try:
            path = f"{split.path}?{split.query}" if split.query else split.path
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        self.visited.append(f"{method} {url}")
        if self._takes_cookies:
            for line in reply.headers.get_all("Set-Cookie", ()):
                for name, morsel in SimpleCookie(line).items():
                    jar[name] = morsel.value
        return Seen(reply.status, reply.headers, content, url)

    def go(self, method: str, url: str, form: dict[str, str] | None = None) -> Seen:
        """A request, and every redirect after it."""
        for _ in range(REDIRECTS_MAX):
            seen = self.send(method, url, form)
            if seen.status not in (302, 303):
                return seen
            method, form, url = "GET", None, urljoin(url, seen.headers["Location"].split("#")[0])
            if self._payer and "uthorize" in url:
                url += "&" + urlencode({"payer": self._payer, "buyer_id": OTHER_BUYER})
        raise AssertionError(f"too many redirects: {self.visited}")

    def open(self, url: str) -> Seen:
        return self.go("GET", url)

    def press(self, page: Seen, button: int = 0, **typed: str) -> Seen:
        """Submit the form of a page by one of its buttons."""
        assert page.form, page
        pressed = [one for one in page.buttons if one.get("id") != "again"][button]
        form = {str(one["name"]): str(one.get("value") or "") for one in page.inputs}
        form |= typed
        form[str(pressed["name"])] = str(pressed["value"])
        return self.go("POST", urljoin(page.url, str(page.form["action"])), form)
