"""A real browser, the size of a phone, before the demo over its three sandboxes."""

import json
import shutil
import subprocess
import sys
import uuid
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from phone import AGENTS

TILLWAY = Path(sys.executable).with_name("tillway")
CHROMIUM = shutil.which("chromium") or "chromium"
"""The distribution's own: its package brings the libraries that it needs."""

PHONE = {"width": 360, "height": 640}
END_S = 60
PATIENCE_MS = 60_000

# What a wallet's app puts into its browser: the script that opens its payment sheet. Opening it is
# written down, and answered when the test says so.
BRIDGE = """
window.opened = [];
window.WeixinJSBridge = {invoke: (name, params, answer) => {
  window.opened.push([name, params]); window.answered = answer;
}};
window.AlipayJSBridge = {call: (name, params, answer) => {
  window.opened.push([name, params]); window.answered = answer;
}};
window.upsdk = {pay: (params) => { window.opened.push(["pay", {tn: params.tn}]); }};
"""


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo as it starts by default."""
    data = tmp_path_factory.mktemp("browser") / "data"
    command = [str(TILLWAY), "demo", "--json", "--rate", "0", "--runtime", "local"]
    command += ["--port", "0", "--admin-port", "0", "--data", str(data)]
    with data.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    with process.stdout:
        line = process.stdout.readline()
        if line:
            yield SimpleNamespace(**json.loads(line))
            process.terminate()
        process.wait(END_S)
    assert line, data.with_suffix(".log").read_text()[-3000:]


@pytest.fixture
def api(demo):
    """Requests with the demo's key."""

    def send(method, path, body=None):
        connection = HTTPConnection(urlsplit(demo.api).netloc, timeout=40)
        headers = {"Authorization": f"Bearer {demo.api_key}", "Tillway-Merchant": demo.merchant}
        headers |= {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    return send


@pytest.fixture
def cashier(api):
    """A cashier payment of 38 yuan."""

    def make(**more):
        fields = {"amount": 3800, "currency": "cny", "way": "cashier", "subject": "午餐 Lunch"}
        made = api("POST", "/v1/payments", {"order_no": uuid.uuid4().hex, **fields, **more})
        assert made["status"] == "requires_payer", made
        return made

    return make


@pytest.fixture(scope="module")
def chromium():
    """The browser itself; each test has windows of its own.

    Not for the whole session: as long as it lives its event loop counts as running in this
    thread, and no asynchronous test of another file could start.
    """
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Whoever runs the tests may be root, as in many a container: no sandbox of its own then.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def phone(chromium):
    """Windows like a wallet's; what went wrong in them fails the test at its end."""
    contexts, complaints = [], []

    def open_phone(wallet="wechat", *, language="en", bridge=True, script=True, **more):
        context = chromium.new_context(
            user_agent=AGENTS[wallet],
            viewport=more.pop("viewport", PHONE),
            locale=language,
            java_script_enabled=script,
            **more,
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        if bridge and script:
            context.add_init_script(BRIDGE)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        return page

    yield open_phone
    for context in contexts:
        context.close()
    assert complaints == []
