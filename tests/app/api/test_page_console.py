"""The views beside the question: keys, links, code, models; what each says when something is missing, and to axe."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from app.tasks.base import TextsRequest
from tests.support.browser import ORIGIN, Reply, Written, ask, opened, problems
from tests.support.console import LABELS, fill

pytestmark = pytest.mark.no_cover  # what is tried runs in the browser

TEXT = 'C\'est «déjà» vu & "so" on 😀'


@pytest.fixture
def service(tab):
    return fill(tab[1])


@pytest.fixture
def page(tab, service):
    tab[0].goto("about:blank")
    tab[0].goto(ORIGIN)
    expect(tab[0].locator("#task")).to_be_visible()
    return tab[0]


def test_the_page_has_an_icon_that_asks_nobody(page, service):
    icon = page.locator("link[rel=icon]").get_attribute("href")
    drawn = page.evaluate(
        "async src => { const i = new Image(); i.src = src; await i.decode(); return i.naturalWidth > 0; }", icon
    )
    assert drawn
    assert all(url.startswith(ORIGIN) for url in service.opened_urls)


def test_arrows_go_through_the_views_and_the_address_remembers_them(page):
    page.locator("#tab-try").press("ArrowRight")
    expect(page.locator("#panel-batch")).to_be_visible()
    expect(page.locator("#tab-batch")).to_be_focused()
    page.locator("#tab-batch").press("End")
    expect(page.locator("#panel-live")).to_be_visible()
    page.reload()
    expect(page.locator("#panel-live")).to_be_visible()
    page.locator("#tab-live").press("ArrowRight")
    expect(page.locator("#panel-try")).to_be_visible()


def test_a_key_is_kept_for_the_tab_and_can_be_forgotten(page, service, browser):
    service.key = "secret"
    page.reload()
    expect(page.locator("#state")).to_have_text("send a key")
    page.fill("#key", "secret")
    page.locator("#key").press("Enter")
    expect(page.locator("#task")).to_be_visible()
    page.reload()
    expect(page.locator("#task")).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    with opened(browser, ORIGIN, service) as another:
        expect(another.locator("#state")).to_have_text("send a key")
    page.click("#forget")
    page.reload()
    expect(page.locator("#state")).to_have_text("send a key")
    assert all(url.startswith(ORIGIN) for url in service.opened_urls)


def test_a_link_carries_text_and_model_and_sends_neither(page, service):
    page.fill("#fields textarea", TEXT)
    page.select_option("#model", "second")
    page.click("#link")
    expect(page.locator("#state")).to_have_text("Copied.")
    link = page.url
    page.goto("about:blank")
    service.opened_urls.clear()
    page.goto(link)
    expect(page.locator("#fields textarea")).to_have_value(TEXT)
    expect(page.locator("#model")).to_have_value("second")
    assert service.asked == []
    assert not any("ask=" in url or "second" in url for url in service.opened_urls)


def test_a_link_to_what_is_not_served_says_so(page):
    page.goto(f"{ORIGIN}#ask=%2Fnowhere&body=%7B%7D")
    expect(page.locator("#state")).to_have_text("No model answers /nowhere here.")
    page.goto(f"{ORIGIN}#ask=%2Fsay&body=%7B%22model")
    expect(page.locator("#state")).to_have_text("The link is cut off.")


def test_code_has_the_key_only_when_that_is_asked_for(page, service):
    service.key = "secret"
    page.reload()
    page.fill("#key", "secret")
    page.locator("#key").press("Enter")
    page.click("#code summary")
    for language, variable in [("curl", "$ROBERTA_API_KEY"), ("Python", "os.environ"), ("JavaScript", "process.env")]:
        page.select_option("#language", language)
        expect(page.locator("#snippet")).to_contain_text(variable)
        expect(page.locator("#snippet")).to_contain_text(f"{ORIGIN}/say")
        expect(page.locator("#snippet")).not_to_contain_text("secret")
        page.check("#with-key")
        expect(page.locator("#snippet")).to_contain_text("secret")
        page.uncheck("#with-key")


def test_labels_with_a_threshold_show_it_and_say_which_reach_it(page):
    ask(page)
    assert page.locator(".limited").all_inner_texts() == ["✓ from 0.4000", "below 0.9000", ""]
    assert page.locator(".bars .limit").count() == 2


def test_words_for_several_masks_go_into_the_text_one_by_one(page, service):
    text = "The <mask> of  <mask>."
    service.requests = {"say": (TextsRequest, {"inputs": text})}
    service.answer = lambda *_: [
        [{"score": 0.5, "token_str": f" {word}", "sequence": f"The {word} of  <mask>."} for word in ("king", "cat")],
        [{"score": 0.5, "token_str": f" {word}", "sequence": f"The <mask> of {word}."} for word in ("Spain", "Rome")],
    ]
    page.reload()
    ask(page)
    assert page.locator(".columns h3").all_inner_texts() == ["Mask 1", "Mask 2"]
    page.get_by_role("button", name="Rome").click()
    expect(page.locator("#fields textarea")).to_have_value("The <mask> of Rome.")
    page.get_by_role("button", name="king").click()
    expect(page.locator("#fields textarea")).to_have_value("The king of Rome.")
    expect(page.get_by_role("button", name="king")).to_have_attribute("aria-pressed", "true")


def test_models_say_their_state_and_why_a_version_is_refused(page):
    page.click("#tab-models")
    assert page.locator("#models h3").all_inner_texts() == ["first:2 ready", "second:1 ready", "third failed"]
    expect(page.locator("#models .error")).to_have_text(
        ["Version 3 is refused: config.json is missing", "Version 1 is refused: tokenizer.json was altered"]
    )
    expect(page.locator("#models")).to_contain_text("an older one")
    expect(page.locator("#models")).to_contain_text("Scores: f1 0.7500")


def test_a_card_is_shown_and_nothing_in_it_runs(page):
    page.click("#tab-models")
    page.click("#card-first summary")
    card = page.locator("#card-first")
    expect(card.locator("h4")).to_have_text("A card")
    assert card.locator("strong").all_inner_texts() == ["bold"]
    assert card.locator("a").evaluate_all("links => links.map(link => link.href)") == ["https://example.org/a_b"]
    assert card.locator("img, script").count() == 0
    expect(card).to_contain_text("<script>")
    expect(card).to_contain_text("a picture")
    assert card.locator("td").all_inner_texts() == ["f1", "0.7"]
    assert card.locator("ul ul li").all_inner_texts() == ["nested"]
    expect(card.locator("pre")).to_have_text('{"a": 1}')
    assert page.title() == "roberta-serve"
    page.click("#card-second summary")
    expect(page.locator("#card-second")).to_contain_text("there is nothing at models/second/card")


@pytest.mark.parametrize("text", ["<!--", "> ", "- ", "[a](", "**a ", "- a\n", "# \n\n", "|a|\n"])
def test_a_card_of_any_kind_is_drawn_in_no_time(text, page):
    took_ms = page.evaluate(
        "text => { const began = performance.now(); markdown(text); return performance.now() - began; }",
        text * (2**18 // len(text)),
    )
    assert took_ms < 3000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_view_or_state(browser, scheme):
    columns = [
        [{"score": 0.5, "token_str": " a", "sequence": "a b"}],
        [{"score": 0.5, "token_str": "b", "sequence": "c"}],
    ]
    service = fill(Written())
    with opened(browser, ORIGIN, service, color_scheme=scheme, bypass_csp=True) as page:
        page.click("#code summary")
        for answer in ([LABELS], columns, Reply({"error": "no"}, 429), []):
            service.answer = lambda *_, answer=answer: answer
            ask(page)
            assert problems(page, scheme) == [], json.dumps(str(answer))
        page.click("#tab-models")
        page.click("#card-first summary")
        page.wait_for_selector("#card-first table")
        assert problems(page, scheme) == []
        page.click("#tab-live")
        page.wait_for_selector(".chart")
        assert problems(page, scheme) == []
        page.click("#tab-batch")
        rows = {"name": "rows.csv", "mimeType": "text/csv", "buffer": b"text\nhello\n"}
        page.set_input_files("#file", rows)
        page.wait_for_selector("#run:enabled")
        service.answer = lambda *_: [LABELS]
        page.click("#run")
        page.wait_for_selector("#saved:not([hidden])")
        assert problems(page, scheme) == []
        service.key = "secret"
        page.reload()
        expect(page.locator("#key")).to_be_visible()
        assert problems(page, scheme) == []


def test_every_view_fits_a_phone(browser, service):
    with opened(browser, ORIGIN, service, viewport={"width": 320, "height": 640}) as page:
        for view in ("try", "batch", "models", "live"):
            page.click(f"#tab-{view}")
            if view == "models":
                page.click("#card-first summary")
                page.wait_for_selector("#card-first table")
            if view == "live":
                page.wait_for_selector(".chart")
            assert page.evaluate("document.documentElement.scrollWidth") == 320, view
