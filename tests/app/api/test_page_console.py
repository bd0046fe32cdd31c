"""The views beside the question: keys, links, code, models, live figures; what each says when something is missing."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from app.tasks.base import TextsRequest
from app.tasks.classify import ClassifyRequest
from tests.support.browser import ORIGIN, Reply, Written, ask, chromium, opened, problems
from tests.support.server import until

TEXT = 'C\'est «déjà» vu & "so" on 😀'
CARD = """---
license: mit
---
# A card

Some **bold** words, `code`, [a link](https://example.org/a_b), [a trap](javascript:alert(1)).
<script>document.title = "broken into"</script><img src=x onerror="document.title = 'broken into'">
![a picture](https://example.org/p.png)

| metric | int8 |
|---|---|
| f1 | 0.7 |

- one
  - nested
- two

```json
{"a": 1}
```
"""
MODELS = [
    {"name": "first", "state": "ready", "version": 2, "route": "/say", "routes": ["/say"], "metrics": {"f1": 0.75}}
    | {"thresholds": {"spam": 0.4, "ham": 0.9}, "refused": {"3": "config.json is missing"}, "note": "an older one"},
    {"name": "second", "state": "ready", "version": 1, "route": "/say", "routes": ["/say"]},
    {"name": "third", "state": "failed", "refused": {"1": "tokenizer.json was altered"}},
]
LABELS = [{"label": "spam", "score": 0.5}, {"label": "ham", "score": 0.5}, {"label": "other", "score": 0.1}]


def metrics(requests: int, errors: int = 0) -> str:
    """Return an exposition in which each request took from 10 to 20 ms."""
    bounds = [("0.01", 0), ("0.02", requests), ("+Inf", requests)]
    return "\n".join(
        [
            "# HELP roberta_requests_total Requests.",
            f'roberta_requests_total{{code="200",model="a \\"b\\" }}",task="say"}} {requests}.0',
            f'roberta_requests_total{{code="429",model="first",task="say"}} {errors}.0',
            *(f'roberta_request_duration_seconds_bucket{{le="{le}",model="first"}} {n}.0' for le, n in bounds),
            f'roberta_batch_sequences_sum{{model="first"}} {3 * requests}.0',
            f'roberta_batch_sequences_count{{model="first"}} {requests}.0',
            "roberta_queue_requests 4.0",
            'roberta_engine_up{engine="0"} 1.0',
            'roberta_engine_up{engine="1"} 0.0',
            'roberta_rejected_total{reason="queue_full"} 7.0',
        ]
    )


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def tab(browser):
    written = Written()
    with opened(browser, "about:blank", written, bypass_csp=True) as page:
        yield page, written


@pytest.fixture
def service(tab):
    service = tab[1]
    service.__init__({"say": (ClassifyRequest, {"inputs": "An example."})}, MODELS, lambda *_: [LABELS])
    service.texts = {"models/first/card": CARD, "metrics": metrics(10)}
    return service


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_view_or_state(browser, scheme):
    columns = [
        [{"score": 0.5, "token_str": " a", "sequence": "a b"}],
        [{"score": 0.5, "token_str": "b", "sequence": "c"}],
    ]
    service = Written({"say": (ClassifyRequest, {"inputs": "An example."})}, MODELS, lambda *_: [LABELS])
    service.texts = {"models/first/card": CARD, "metrics": metrics(10)}
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
