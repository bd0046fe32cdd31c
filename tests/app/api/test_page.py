"""The page at `/` in a browser, before a service that each test writes: what it sends, and what it does with time."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect
from pydantic import Field

from app.tasks.base import TaskRequest, TextsRequest
from app.tasks.classify import ClassifyRequest
from app.tasks.parameters import Parameters
from tests.support.browser import ORIGIN, Reply, ask, opened

pytestmark = pytest.mark.no_cover  # what is tried runs in the browser

EXAMPLE = {"inputs": "An example."}
LABELS = [{"label": f"label {i}", "score": 1 / (i + 1)} for i in range(17)]
LOADING = [{"name": "slow", "state": "unloaded"}]


class CountedParameters(Parameters):
    most: int | None = Field(None, description="How many; see `top_k`.")
    words: list[str] = Field(["O"], description="Some words.")
    careful: bool = False


class CountedRequest(TextsRequest):
    parameters: CountedParameters = CountedParameters()


@pytest.fixture
def service(tab):
    service = tab[1]
    models = [
        {"name": name, "state": "ready", "route": "/say", "routes": ["/say", "/count"]} for name in ("first", "second")
    ]
    requests = {"say": (ClassifyRequest, EXAMPLE), "count": (CountedRequest, EXAMPLE)}
    service.__init__(requests, models, lambda *_: [LABELS])
    return service


@pytest.fixture
def page(tab, service):
    tab[0].goto(ORIGIN)
    expect(tab[0].locator("#task")).to_be_visible()
    return tab[0]


def test_the_example_of_the_first_task_is_there_to_be_asked(page, service):
    ask(page)
    assert service.asked == [("say", {"model": "first", **EXAMPLE})]
    assert page.locator("#task option").all_text_contents() == ["Say", "Count"]
    assert page.locator("#model option").all_text_contents() == ["first (default)", "second"]


def test_another_model_and_another_task_keep_what_was_typed(page, service):
    page.fill("textarea", "My own words.")
    page.select_option("#model", "second")
    ask(page)
    page.select_option("#task", "/count")
    ask(page)
    assert [body["inputs"] for _, body in service.asked] == ["My own words."] * 2
    assert [body["model"] for _, body in service.asked] == ["second", "first"]
    page.click("#example")
    expect(page.locator("#fields textarea")).to_have_value("An example.")


def test_all_labels_are_shown(page):
    ask(page)
    assert page.locator(".bars th").all_text_contents() == [each["label"] for each in LABELS]


def test_an_error_takes_the_old_answer_and_its_timing_away(page, service):
    headers = {"X-Model": "first:1", "Server-Timing": "forward;dur=7.00, total;dur=5.00"}
    service.answer = lambda *_: Reply([LABELS], headers=headers)
    ask(page)
    expect(page.locator("#timing")).to_have_text("first:1: forward 7 ms (several batches at once), total 5 ms")
    for error in ("the queue is full", {"message": "the queue is full", "code": 429}):
        service.answer = lambda *_, error=error: Reply({"error": error}, 429, {"Retry-After": "3"})
        ask(page)
        expect(page.locator("#answer")).to_have_text("the queue is full Try again in 3 s.")
    expect(page.locator("#timing")).to_be_empty()
    expect(page.locator("#raw")).to_be_hidden()


def test_a_service_that_is_gone_takes_it_away_too(page, service):
    ask(page)
    service.is_away = True
    page.click("#ask")
    expect(page.locator("#answer")).to_have_text("The service does not answer.")
    expect(page.locator("#raw")).to_be_hidden()


def test_what_is_no_json_is_said(page, service):
    service.answer = lambda *_: Reply("<html>", 502)
    ask(page)
    expect(page.locator("#answer")).to_have_text("The answer is not JSON (status 502).")


def test_three_clicks_send_one_request_and_it_can_be_cancelled(page, service):
    service.held = []
    page.evaluate("for (let i = 0; i < 3; i++) { ask(); document.getElementById('ask').click(); }")
    expect(page.locator("#ask")).to_be_disabled()
    page.click("#cancel")
    expect(page.locator("#answer")).to_have_text("Cancelled.")
    assert len(service.held) == 1
    service.held = None
    ask(page)
    assert len(service.asked) == 2


def test_a_page_that_was_opened_while_models_load_finds_them_later(browser, service):
    ready, service.models = service.models, LOADING
    with opened(browser, "about:blank", service) as page:
        page.clock.install()
        page.goto(ORIGIN)
        expect(page.locator("#state")).to_contain_text("No model is loaded yet")
        expect(page.locator("#task")).to_be_hidden()
        expect(page.locator("#ask")).to_be_hidden()
        service.is_away = True
        page.clock.run_for(2000)
        expect(page.locator("#state")).to_contain_text("does not answer")
        service.is_away, service.models = False, ready
        page.clock.run_for(2000)
        expect(page.locator("#task")).to_be_visible()
        expect(page.locator("#state")).to_be_empty()


def test_without_any_model_the_page_says_what_to_do(page, service):
    service.listing = Reply({"models": [], "defaults": {}, "problems": ["the models folder has no bundle"]})
    page.reload()
    expect(page.locator("#state")).to_contain_text("No model is served: the models folder has no bundle. Put a bundle")
    expect(page.locator("#ask")).to_be_hidden()


def test_a_key_is_asked_for_and_sent(page, service):
    service.key = "secret"
    page.reload()
    expect(page.locator("#state")).to_have_text("send a key")
    page.fill("#key", "secret")
    page.keyboard.press("Tab")
    expect(page.locator("#task")).to_be_visible()
    ask(page)
    assert len(service.asked) == 1


def test_the_keyboard_alone_is_enough(page, service):
    page.keyboard.press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("by hand")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".bars")
    assert service.asked == [("say", {"model": "first", "inputs": "by hand"})]


def test_other_shapes_of_the_inputs_keep_the_words(page, service):
    shape = page.locator("select[aria-label]")
    assert shape.locator("option").all_text_contents() == [
        "one text",
        "text and text_pair",
        "several, one a line",
        "JSON",
    ]
    shape.first.select_option("object")
    page.get_by_label("text_pair").fill("And another.")
    ask(page)
    shape.first.select_option("lines")
    ask(page)
    shape.first.select_option("json")
    page.fill("#fields textarea", '[["a", "b"]]')
    ask(page)
    page.fill("#fields textarea", "[")
    ask(page)
    expect(page.locator("#answer")).to_have_text("inputs: this is not JSON")
    assert [body["inputs"] for _, body in service.asked] == [
        {"text": "An example.", "text_pair": "And another."},
        ["An example.", "And another."],
        [["a", "b"]],
    ]


def test_options_are_those_of_the_document_and_only_what_is_set_is_sent(page, service):
    page.select_option("#task", "/count")
    page.click("#more summary")
    expect(page.get_by_label("most", exact=True)).to_have_accessible_description("How many; see top_k.")
    expect(page.get_by_label("words")).to_have_attribute("placeholder", "O")
    page.get_by_label("most", exact=True).fill("3")
    page.get_by_label("careful").select_option("true")
    page.get_by_label("words").fill("PER\nLOC")
    page.get_by_label("truncate", exact=True).select_option("false")
    ask(page)
    parameters = {"most": 3, "words": ["PER", "LOC"], "careful": True}
    assert service.asked == [("count", {"model": "first", **EXAMPLE, "truncate": False, "parameters": parameters})]


def test_without_a_list_of_models_the_routes_are_those_of_the_document(page, service):
    service.listing = Reply({"error": "nothing here"}, 404)
    page.reload()
    ask(page)
    assert service.asked == [("say", EXAMPLE)]


class RequiredParameters(Parameters):
    names: list[str]


class RequiredRequest(TextsRequest):
    parameters: RequiredParameters


class Asked(TaskRequest):
    input: str | list[str]

    def count_inputs(self):
        return 1

    count_characters = count_inputs


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        (RequiredRequest, {"inputs": "a", "parameters": {"names": ["b", "c"]}}),
        (Asked, {"model": "m", "input": ["a", "b"]}),
    ],
)
def test_a_body_of_any_fields_is_asked_as_its_example_is(page, service, kind, example):
    service.__init__({"ask": (kind, example)})
    page.reload()
    ask(page)
    assert service.asked == [("ask", {**example, "model": "ask"})]


def test_the_json_is_always_there(page, service):
    service.answer = lambda *_: {"anything": [1, {"deep": None}]}
    ask(page)
    page.click("#raw summary")
    assert json.loads(page.locator("#json").inner_text()) == {"anything": [1, {"deep": None}]}
