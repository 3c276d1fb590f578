"""The payer's page in a real browser: it fits a phone, starts the wallet, and shows the result."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

# One browser and one demo for all: in one of several workers.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

FINGER_PX = 44
SHEETS = {
    "wechat": ("getBrandWCPayRequest", "paySign"),
    "alipay": ("tradePay", "tradeNO"),
    "unionpay": ("pay", "tn"),
}


def settled(api, payment, status="succeeded"):
    for _ in range(12):
        found = api("GET", f"/v1/payments/{payment}?wait=5")
        if found["status"] == status:
            return found
    raise AssertionError(found)


@pytest.mark.parametrize("wallet", SHEETS)
def test_one_tap_opens_the_wallets_own_sheet(phone, api, cashier, wallet):
    """Through the wallet's OAuth and back, with the signed parameters; then it says paid."""
    made = cashier()
    page = phone(wallet)
    page.goto(made["pay_url"])
    expect(page.locator(".sum")).to_have_text("¥38.00")

    page.get_by_role("button", name="Pay", exact=True).click()

    expect(page.get_by_role("status")).to_contain_text("Confirm the payment in")
    verb, field = SHEETS[wallet]
    ((opened, params),) = page.evaluate("window.opened")
    assert opened == verb
    assert params[field]
    assert page.url.split("#")[0] == made["pay_url"]  # WeChat's own word stays behind it.
    api("POST", f"/v1/test_helpers/payments/{made['id']}/pay", {})
    # Nobody touches the phone: the page finds out by itself.
    expect(page.get_by_text("Paid", exact=True)).to_be_visible()
    assert settled(api, made["id"])["wallet"] == wallet


def test_the_sheet_can_be_opened_again(phone, cashier):
    """Whoever closed it by mistake has a button for that."""
    page = phone("wechat")
    page.goto(cashier()["pay_url"])
    page.get_by_role("button", name="Pay", exact=True).click()

    page.get_by_role("button", name="Open WeChat Pay again").click()

    assert 2 == len(page.evaluate("window.opened"))


def test_a_page_asks_nobody_but_us(phone, demo, cashier):
    """No font, no picture, no script from anywhere; only the way to the wallet and back."""
    made = cashier()
    page = phone("wechat")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(made["pay_url"])
    page.wait_for_timeout(2_500)  # Until its script has asked once how it stands.

    ours = urlsplit(demo.api).netloc
    assert {ours} == {urlsplit(url).netloc for url in asked}
    assert f"{made['pay_url']}/status" in asked


@pytest.mark.parametrize("width", [280, 360, 430, 1280])
def test_it_fits_the_screen(phone, cashier, width):
    """Nothing to scroll sideways, the button under a thumb and on the first screen."""
    page = phone("wechat", viewport={"width": width, "height": 640})
    page.goto(cashier(subject="麻辣烫" * 20 + "W" * 60)["pay_url"])

    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    box = page.get_by_role("button").bounding_box()

    assert overflow <= 0
    assert box["height"] >= FINGER_PX
    assert box["width"] >= min(width, 400) * 0.6


def luminance(color):
    """Relative luminance of `rgb(r, g, b)`, as WCAG has it."""
    parts = [int(part) / 255 for part in color[4:-1].split(",")]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(page, selector, background):
    """Contrast of a thing's text to the background of another."""
    ink = page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).color")
    back = page.evaluate(
        f"getComputedStyle(document.querySelector('{background}')).backgroundColor"
    )
    light, dark = sorted((luminance(ink), luminance(back)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_by_day_and_by_night(phone, cashier, scheme):
    """The system's choice; every text has the contrast that WCAG AA asks for."""
    page = phone("wechat", color_scheme=scheme)
    page.goto(cashier()["pay_url"])

    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(back) > 0.5) is (scheme == "light")
    for text, behind in ((".sum", ".card"), (".soft", ".card"), ("button", "button")):
        assert contrast(page, text, behind) >= 4.5, (text, scheme)


def test_another_wallet_takes_over(phone, api, cashier):
    """Two phones at one code: the second one's wallet pays, the first page shows the end."""
    made = cashier()
    first, second = phone("wechat"), phone("alipay")
    first.goto(made["pay_url"])
    first.get_by_role("button", name="Pay", exact=True).click()
    expect(first.get_by_role("status")).to_contain_text("Confirm")

    second.goto(made["pay_url"])
    second.get_by_role("button", name="Pay", exact=True).click()
    expect(second.get_by_role("status")).to_contain_text("Confirm the payment in Alipay")
    second.get_by_role("button", name="Test: pay").click()

    expect(second.get_by_text("Paid", exact=True)).to_be_visible()
    expect(first.get_by_text("Paid", exact=True)).to_be_visible()
    assert settled(api, made["id"])["channel"] == "alipay"


def test_a_phone_without_a_wallet_may_play_one(phone, api, cashier):
    """In test mode, from any browser: choose, confirm, paid."""
    made = cashier()
    page = phone("safari", bridge=False, language="zh-CN")
    page.goto(made["pay_url"])

    page.get_by_role("button", name="支付宝").click()
    page.get_by_role("button", name="测试：付款").click()

    expect(page.get_by_text("支付成功")).to_be_visible()
    assert settled(api, made["id"])["wallet"] == "alipay"


def test_without_script_the_page_refreshes_itself(phone, api, cashier):
    """The result comes all the same."""
    made = cashier()
    page = phone("safari", script=False)
    page.goto(made["pay_url"])
    page.get_by_role("button", name="WeChat Pay").click()
    api("POST", f"/v1/test_helpers/payments/{made['id']}/pay", {})

    expect(page.get_by_text("Paid", exact=True)).to_be_visible()


def test_what_a_merchant_writes_never_runs(phone, cashier):
    """Not as a subject, whatever stands in it."""
    page = phone("wechat")
    page.goto(cashier(subject="<img src=x onerror=alert(1)><script>alert(2)</script>")["pay_url"])

    expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    assert page.evaluate("document.images.length") == 0


def test_a_guest_pays_at_a_plate(phone, api):
    """The amount keyed in on the counter's code, then the wallet."""
    store = api("POST", "/v1/stores", {"name": "Counter"})["id"]
    plate = api("POST", "/v1/qr_plates", {"store": store, "label": "收银台"})
    page = phone("wechat")
    page.goto(plate["url"])

    page.get_by_label("Amount (CNY)").fill("12.5")
    page.get_by_role("button", name="Continue").click()

    expect(page.get_by_role("status")).to_contain_text("Confirm the payment in WeChat Pay")
    expect(page.locator(".sum")).to_have_text("¥12.50")
    page.get_by_role("button", name="Test: pay").click()
    expect(page.get_by_text("Paid", exact=True)).to_be_visible()


def test_the_browser_itself_refuses_a_wrong_amount(phone, api):
    """Before anything is sent."""
    store = api("POST", "/v1/stores", {"name": "Counter"})["id"]
    plate = api("POST", "/v1/qr_plates", {"store": store, "label": "收银台"})
    page = phone("wechat")
    page.goto(plate["url"])

    page.get_by_label("Amount (CNY)").fill("lots")
    page.get_by_role("button", name="Continue").click()

    assert page.url == plate["url"]
    assert page.evaluate("document.getElementById('amount').validity.patternMismatch")
