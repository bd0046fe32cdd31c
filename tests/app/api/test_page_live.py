"""The page's view of live figures: what happened between two looks, and what it says when there is nothing to see."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.support.browser import ORIGIN
from tests.support.console import fill, metrics
from tests.support.server import until

pytestmark = pytest.mark.no_cover  # what is tried runs in the browser


@pytest.fixture
def service(tab):
    return fill(tab[1])


def charts(page):
    lines = page.locator(".chart figcaption").all_inner_texts()
    return dict(line.split("\n") for line in lines)


@pytest.fixture
def live(tab, service):
    page = tab[0]
    page.goto("about:blank")
    page.clock.install(time=datetime(2030, 1, 1, tzinfo=UTC))
    page.goto(f"{ORIGIN}#view=live")
    expect(page.locator("#live-state")).to_contain_text("Every two seconds")
    page.clock.pause_at(datetime(2030, 1, 1, 0, 1, tzinfo=UTC))
    yield page
    page.clock.resume()


def look_again(page):
    """Let two seconds pass, and wait for what they bring."""
    before = page.evaluate("points.length")
    page.clock.run_for(2000)
    until(lambda: page.evaluate("points.length") > before)


def test_live_figures_are_what_happened_between_two_looks(live, service):
    for requests in (10, 30, 50):
        service.texts["metrics"] = metrics(requests, 2)
        look_again(live)
    seen = charts(live)
    assert seen["Requests answered"] == "10 /s"
    assert seen["Refused or failed"] == "0 /s"
    assert (seen["Latency, median"], seen["Windows in a batch"], seen["Requests in the queue"]) == ("15 ms", "3", "4")
    expect(live.locator("#engines")).to_contain_text("1 of 2")
    expect(live.locator("#engines")).to_contain_text("queue_full")
    label = live.locator(".chart svg").first.get_attribute("aria-label")
    assert label.startswith("Requests answered: ")


def test_live_figures_start_anew_after_the_service_did(live, service):
    look_again(live)
    service.texts["metrics"] = metrics(2)
    look_again(live)
    expect(live.locator(".chart").first).to_contain_text("1 /s")
    service.is_away = True
    live.clock.run_for(2000)
    expect(live.locator("#live-state")).to_contain_text("does not answer")
    service.is_away = False
    live.clock.run_for(2000)
    expect(live.locator("#live-state")).to_contain_text("Every two seconds")


def test_nothing_is_asked_for_while_nobody_looks(live, service):
    def looks():
        return sum(url.endswith("/metrics") for url in service.opened_urls)

    for hide in (
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true})",
        "delete document.hidden; showView('models')",
    ):
        live.evaluate(f"{hide}; document.dispatchEvent(new Event('visibilitychange')); 0")
        live.clock.run_for(10_000)  # a look that was on its way ends
        before = looks()
        live.clock.run_for(10_000)
        assert looks() == before
    live.evaluate("showView('live')")
    until(lambda: live.evaluate("scraped !== null"))
    assert looks() == before + 1


def test_metrics_that_are_off_or_need_a_key_are_said(live, service):
    del service.texts["metrics"]
    live.clock.run_for(2000)
    expect(live.locator("#live-state")).to_contain_text("switched off")
    service.key = "another"
    live.evaluate("look()")
    expect(live.locator("#live-state")).to_have_text("send a key")
    expect(live.locator("#key")).to_be_visible()
