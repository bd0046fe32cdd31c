"""What the page at `/` draws of answers of every shape, whatever their task: also small, dark, and right to left."""

from __future__ import annotations

from typing import Annotated, NotRequired

import pytest
from playwright.sync_api import expect
from pydantic import Field
from typing_extensions import TypedDict

from app.tasks.base import TaskRequest, TextsRequest
from app.tasks.parameters import Strict
from tests.support.browser import ORIGIN, Written, ask, opened, problems

pytestmark = pytest.mark.no_cover  # what is tried runs in the browser

NAMES = "👩‍💼 Ada Byron met Bob in São Paulo."
CONTEXT = "Ada lived in London. Bob did not."
ARABIC = "فيلم جميل جدا"


class Word(TypedDict):
    word: str
    start: int
    end: int
    score: Annotated[float, Field(json_schema_extra={"x-signed": True})]
    text: NotRequired[str]


class Part(TypedDict):
    word: str
    start: int
    end: int
    attribution: Annotated[float, Field(json_schema_extra={"x-signed": True})]


class Heat(TypedDict):
    label: str
    score: float
    words: list[Part]


class Explained(TypedDict):
    word: str
    start: int
    end: int
    words: list[Word]


class Pair(Strict):
    question: str
    context: str


class PairRequest(TaskRequest):
    inputs: Pair

    def count_inputs(self):
        return 1

    count_characters = count_inputs


class Near(Strict):
    source: str
    sentences: list[str]


class NearRequest(PairRequest):
    inputs: Near


def part(text, quoted, /, **more):
    start = text.index(quoted)
    return {**more, "start": start, "end": start + len(quoted)}


WORDS = [
    part(CONTEXT, word, word=word, attribution=value)
    for word, value in [("Ada", -0.4), ("lived", 0.001), ("London", 0.8)]
]
ENTITIES = [
    part(NAMES, word, entity_group=kind, score=0.9, word=word)
    for word, kind in [("Ada Byron", "PER"), ("Bob", "PER"), ("São Paulo", "LOC")]
]
SENTENCES = ["Bob did not.", "Nobody came."]
NUMBERS = [0.6, -0.8, *[0.0] * 10]
ANSWERS = {
    "spans": (TextsRequest, {"inputs": NAMES}, ENTITIES),
    "answer": (
        PairRequest,
        {"inputs": {"question": "Where did Ada live?", "context": CONTEXT}},
        part(CONTEXT, "London", score=0.9, answer="London"),
    ),
    "heat": (TextsRequest, {"inputs": CONTEXT}, {"label": "good", "score": 0.75, "words": WORDS}),
    "parts": (
        PairRequest,
        {"inputs": {"question": "Did Ada?", "context": CONTEXT}},
        [
            part(
                CONTEXT,
                "Ada",
                word="Ada",
                words=[
                    part("Did Ada?", "Ada", word="Ada", score=0.5, text="question"),
                    part(CONTEXT, "London", word="London", score=0.25, text="context"),
                ],
            )
        ],
    ),
    "vectors": (TextsRequest, {"inputs": ["a", "b"]}, [NUMBERS, NUMBERS]),
    "near": (NearRequest, {"inputs": {"source": "Bob?", "sentences": SENTENCES}}, [0.93, -0.21]),
    "parallel": (TextsRequest, {"inputs": "a"}, {"sequence": "a", "labels": ["yes", "no"], "scores": [0.7, 0.3]}),
    "sentences": (
        TextsRequest,
        {"inputs": CONTEXT},
        [{"summary": "Bob did not.", "sentences": [part(CONTEXT, "Bob did not.", score=-0.5, text="Bob did not.")]}],
    ),
    "envelope": (TextsRequest, {"inputs": "a"}, {"object": "list", "data": [{"index": 0, "embedding": NUMBERS}]}),
    "long": (TextsRequest, {"inputs": "a" * 400}, [[{"label": "b" * 300, "score": 0.5}]]),
}


@pytest.fixture(scope="module")
def service():
    requests = {route: (kind, example) for route, (kind, example, _) in ANSWERS.items()}
    return Written(
        requests, answer=lambda route, _: ANSWERS[route][2], answers={"parts": list[Explained], "heat": Heat}
    )


@pytest.fixture(scope="module")
def page(browser, service):
    with opened(browser, ORIGIN, service) as page:
        yield page


@pytest.fixture
def drawn(page):
    """Ask a route by its example, and return what is drawn of the answer."""

    def draw(route):
        page.select_option("#task", f"/{route}")
        page.click("#example")
        ask(page)
        return page.locator("#answer")

    return draw


def test_spans_are_marked_in_the_text_by_their_kinds(drawn):
    answer = drawn("spans")
    assert answer.locator(".text mark").all_inner_texts() == ["Ada ByronPER", "BobPER", "São PauloLOC"]
    assert answer.locator(".text").inner_text() == "👩‍💼 Ada ByronPER met BobPER in São PauloLOC."
    assert answer.locator(".legend li").all_inner_texts() == ["PER 2", "LOC 1"]
    assert answer.locator("tbody tr").first.locator("td").all_inner_texts() == [
        *("1", "Ada Byron", "PER", "0.9000", "4", "13")
    ]


def test_offsets_in_utf_16_and_in_bytes_mark_the_same(drawn, monkeypatch):
    for coding, unit in (("utf-16-le", 2), ("utf-8", 1)):
        moved = [
            {**each, **{edge: len(NAMES[: each[edge]].encode(coding)) // unit for edge in ("start", "end")}}
            for each in ENTITIES
        ]
        monkeypatch.setitem(ANSWERS, "spans", (*ANSWERS["spans"][:2], moved))
        assert drawn("spans").locator(".text mark").all_inner_texts() == ["Ada ByronPER", "BobPER", "São PauloLOC"]


def test_an_answer_is_marked_in_its_context(drawn):
    answer = drawn("answer")
    expect(answer.locator(".text")).to_have_text(CONTEXT)
    assert answer.locator("mark").all_inner_texts() == ["London"]


def test_no_answer_is_said_in_words(drawn, monkeypatch):
    nothing = {"score": 0.8, "answer": "", "start": 0, "end": 0}
    monkeypatch.setitem(ANSWERS, "answer", (*ANSWERS["answer"][:2], nothing))
    answer = drawn("answer")
    expect(answer.locator("tbody tr")).to_contain_text("(nothing)")
    assert answer.locator("mark").count() == 0


def test_no_spans_are_said_in_words(drawn, monkeypatch):
    for nothing in ([], [[]]):
        monkeypatch.setitem(ANSWERS, "spans", (*ANSWERS["spans"][:2], nothing))
        expect(drawn("spans")).to_have_text("Nothing was found.")


def test_signed_parts_are_a_heat_map_that_says_its_numbers(drawn):
    answer = drawn("heat")
    expect(answer.locator("dl")).to_contain_text("good")
    assert answer.locator("ruby.plus rt, ruby.minus rt").all_inner_texts() == ["\N{MINUS SIGN}0.4000", "+0.8000"]
    assert answer.locator("ruby.minus").count() == 1
    expect(answer.locator(".note")).to_have_text(
        "attribution: lowers (dashed) \N{MINUS SIGN}0.8000  +0.8000 raises (solid)"
    )


def test_parts_that_are_declared_signed_are_colored_in_each_text_that_they_name(drawn):
    answer = drawn("parts")
    assert answer.locator("h3").all_inner_texts() == ["words", "question", "context"]
    assert answer.locator(".heat").all_text_contents() == [
        "Did Ada+0.5000?",
        "Ada lived in London+0.2500. Bob did not.",
    ]


def test_vectors_are_short(drawn):
    answer = drawn("vectors")
    assert answer.locator("h3").all_inner_texts() == ["1. a", "2. b"]
    assert answer.locator("p").first.inner_text() == "12 numbers, norm 1"
    assert answer.locator(".numbers").first.inner_text() == "0.6000, -0.8000, 0, 0, 0, 0, 0, 0, …"
    assert drawn("envelope").locator(".numbers").count() == 1


def test_similarities_stand_beside_their_sentences(drawn):
    answer = drawn("near")
    assert answer.locator(".bars th").all_inner_texts() == SENTENCES
    assert answer.locator(".bars .number").all_inner_texts() == ["0.9300", "-0.2100"]
    assert answer.locator(".bar.minus").count() == 1


def test_parallel_lists_are_bars(drawn):
    answer = drawn("parallel")
    assert answer.locator(".bars th").all_inner_texts() == ["yes", "no"]


def test_the_sentences_of_a_summary_are_marked(drawn):
    answer = drawn("sentences")
    expect(answer.locator("dd")).to_have_text("Bob did not.")
    assert answer.locator("mark").all_inner_texts() == ["Bob did not."]


def test_text_from_right_to_left_is_set_so(page, drawn, monkeypatch):
    entity = part(ARABIC, "جميل", entity_group="X", score=1.0, word="جميل")
    monkeypatch.setitem(ANSWERS, "spans", (TextsRequest, {"inputs": ARABIC}, [entity]))
    page.select_option("#task", "/spans")
    page.fill("#fields textarea", ARABIC)
    ask(page)
    for place in ("#answer .text", "#fields textarea"):
        assert page.locator(place).evaluate("node => getComputedStyle(node).direction") == "rtl"


def test_a_phone_s_width_is_enough(browser, service):
    with opened(browser, ORIGIN, service, viewport={"width": 320, "height": 640}) as page:
        for route in ANSWERS:
            page.select_option("#task", f"/{route}")
            ask(page)
            assert page.evaluate("document.documentElement.scrollWidth") == 320, route


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser, service, scheme):
    with opened(browser, ORIGIN, service, color_scheme=scheme, bypass_csp=True) as page:
        page.click("#more summary")
        for route in ("spans", "heat", "near", "envelope"):
            page.select_option("#task", f"/{route}")
            ask(page)
            assert problems(page, scheme) == [], route
