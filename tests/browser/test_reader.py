"""The reader of the API in a real browser: it works, and it asks nobody but this server."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

DESK = {"width": 1280, "height": 900}


@pytest.fixture
def desk(phone):
    """A desktop's window, and the hosts that it asked, in order."""
    asked = []

    def open_desk(**more):
        page = phone("safari", viewport=DESK, bridge=False, **more)
        page.on("request", lambda request: asked.append(request.url))
        return page, asked

    return open_desk


def foreign(asked, demo):
    """What was asked of another host; pictures and styles inside the page are of no host."""
    here = urlsplit(demo.api).netloc
    return [
        url
        for url in asked
        if urlsplit(url).netloc != here and not url.startswith(("data:", "blob:"))
    ]


def test_the_reader_shows_the_api_and_asks_no_other_host(demo, desk):
    """Every operation can be found; no complaint in the console; no request to anywhere else."""
    page, asked = desk()
    page.goto(f"{demo.api}/docs")

    expect(page.get_by_role("heading", name="Tillway", exact=True)).to_be_visible()
    expect(page.get_by_text("Aggregated payments: one API").first).to_be_visible()
    expect(page.get_by_role("link", name="Take a payment").first).to_be_visible()
    page.get_by_role("link", name="Take a payment").first.click()
    expect(page.get_by_text("order_no").first).to_be_visible()

    assert f"{demo.api}/openapi.json" in asked
    assert [] == foreign(asked, demo)


def test_without_a_script_there_is_a_way_on(demo, desk):
    """The document and the page of problems are linked."""
    page, asked = desk(script=False)
    page.goto(f"{demo.api}/docs")
    page.get_by_role("link", name="errors").click()

    expect(page.get_by_role("heading", name="Problems", exact=True)).to_be_visible()
    assert [] == foreign(asked, demo)


def test_the_page_of_problems_stands_at_the_code_that_was_asked_for(demo, desk):
    """Where a `doc_url` leads: the paragraph is in sight, in its style."""
    page, _ = desk()
    page.goto(f"{demo.api}/docs/errors#outcome_unknown")

    paragraph = page.locator("#outcome_unknown")
    expect(paragraph).to_be_in_viewport()
    expect(paragraph).to_contain_text("Repeat the request with the same Idempotency-Key")
    width = paragraph.evaluate("element => element.getBoundingClientRect().width")
    assert width < 800
