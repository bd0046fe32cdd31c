"""A file answered in the page, row by row: what is read, asked, waited for, and written."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pytest
from playwright.sync_api import expect

from app.tasks.base import TextsRequest
from app.tasks.classify import ClassifyRequest
from app.tasks.openai_embeddings import EmbeddingsRequest
from app.tasks.question_answering import QuestionAnsweringRequest
from tests.support.browser import ORIGIN, Reply

pytestmark = pytest.mark.no_cover  # what is tried runs in the browser

MODELS = [{"name": "judge", "state": "ready", "route": "/say", "routes": ["/say", "/find", "/quote"]}]
OUTPUTS = {"outputs": [{"name": name} for name in ("label", "score", "labels")]}
TEXTS = ["plain", 'two "quotes", a comma', "a line\nand another 😀", "ünï;cödé\r\nline", " spaced ", "=1+1"]


def judged(text):
    if "wrong" in text:
        raise ValueError
    return [{"label": text.upper(), "score": 0.5}]


def answer(route, body):
    try:
        return [judged(text) for text in body["inputs"]]
    except ValueError:
        return Reply({"error": "inputs: this text is wrong"}, 422)


@pytest.fixture(scope="module")
def tab(tab):
    tab[0].clock.install()
    return tab


@pytest.fixture
def service(tab):
    service = tab[1]
    example = {"inputs": {"question": "Who?", "context": "Bob."}}
    requests = {
        "say": (TextsRequest, {"inputs": "a"}),
        "find": (QuestionAnsweringRequest, example),
        "quote": (ClassifyRequest, {"inputs": "a"}),
    }
    service.__init__(requests, MODELS, answer)
    service.texts = {"v2/models/judge": json.dumps(OUTPUTS)}
    return service


@pytest.fixture
def page(tab, service):
    page = tab[0]
    page.goto("about:blank")
    page.goto(f"{ORIGIN}#view=batch")
    expect(page.locator("#task")).to_be_visible()
    return page


def choose(page, name, content):
    content = content.encode() if isinstance(content, str) else content
    page.set_input_files("#file", {"name": name, "mimeType": "text/csv", "buffer": content})


def saved(page):
    """Return the name of the answered file, and its content."""
    page.wait_for_selector("#saved:not([hidden])")
    with page.expect_download() as download:
        page.click("#save")
    return download.value.suggested_filename, download.value.path().read_bytes().decode()


def run(page, name, content):
    choose(page, name, content)
    page.click("#run:enabled")
    return saved(page)


def csv_of(rows, separator=","):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator, lineterminator="\n").writerows(rows)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "separator", "mark"), [("a.csv", ",", ""), ("b.csv", ";", "\ufeff"), ("c.tsv", "\t", "")]
)
def test_rows_of_csv_stand_as_they_did_with_the_answer_beside_them(page, name, separator, mark):
    rows = [["id", "text"], *([str(i), text] for i, text in enumerate(TEXTS))]
    file, content = run(page, name, mark + csv_of(rows, separator))
    assert file == name.replace(".", ".answered.")
    read = list(csv.reader(io.StringIO(content, newline=""), delimiter=separator))
    assert read[0] == ["id", "text", "label", "score", "labels", "error"]
    assert [row[:2] for row in read[1:]] == rows[1:]
    assert [row[2:4] for row in read[1:]] == [[text.upper(), "0.5"] for text in TEXTS]
    assert json.loads(read[1][4]) == judged(TEXTS[0])
    expect(page.locator("#batch-state")).to_contain_text("6 rows answered, 0 with an error")


def test_lines_of_json_stand_as_they_did(page, service):
    lines = [
        '{"text": "one", "big": 12345678901234567890, "f": 1.0}',
        '{ "text" : "tw\\u00f6" }',
        '{"text": 3}',
        "[1]",
        "{",
    ]
    _, content = run(page, "a.jsonl", "\n".join(lines))
    written = content.splitlines()
    assert written[0].startswith(lines[0][:-1] + ',"label":"ONE"')
    read = [json.loads(line) for line in written]
    assert [each["error"] for each in read] == [
        *(None, None, "the column text is not a text", "the line is not a JSON object", "the line is not JSON"),
    ]
    assert read[1]["label"] == "TWÖ"
    assert read[3]["text"] == "[1]"


def test_a_compressed_file_is_read_and_what_was_named_like_an_answer_is_kept(page):
    name, content = run(page, "a.csv.gz", gzip.compress(csv_of([["label", "text"], ["mine", "a"]]).encode()))
    assert name == "a.answered.csv"
    assert content.splitlines()[0] == "label,text,predicted_label,predicted_score,predicted_labels,predicted_error"


def test_a_row_that_cannot_be_answered_does_not_end_the_rest(page, service):
    texts = ["fine", "wrong", "", "fine too", "also wrong", *["x"] * 60]
    content = csv_of([["id", "text"], *enumerate(texts)]) + "7,a,b\n8\n"
    _, answered = run(page, "a.csv", content)
    rows = list(csv.DictReader(io.StringIO(answered)))
    errors = {row["text"]: row["error"] for row in rows if row["error"]}
    assert errors == {
        "wrong": "inputs: this text is wrong",
        "also wrong": "inputs: this text is wrong",
        "": "the text is empty",
        "7,a,b": "the row has 3 cells, not 2",
        "8": "the row has 1 cells, not 2",
    }
    assert [row["label"] for row in rows if not row["error"]] == ["FINE", "FINE TOO", *["X"] * 60]
    assert all(len(body["inputs"]) <= 32 for _, body in service.asked)


def test_a_service_that_is_busy_is_asked_again_when_it_says(page, service):
    busy = Reply({"error": "the queue is full"}, 429, {"Retry-After": "7"})
    replies = iter([busy, busy])
    service.answer = lambda route, body: next(replies, None) or answer(route, body)
    choose(page, "a.csv", "text\na\n")
    page.click("#run:enabled")
    for _ in range(2):
        expect(page.locator("#batch-state")).to_have_text("the queue is full Trying again in 7 s.")
        asked = len(service.asked)
        page.clock.run_for(6000)
        assert len(service.asked) == asked
        page.clock.run_for(1500)
    assert saved(page)[1].splitlines()[1].startswith("a,A,0.5")
    assert len(service.asked) == 3


def test_a_job_can_be_cancelled_and_what_was_answered_is_kept(page, service):
    service.answer = lambda route, body: (
        Reply({"error": "busy"}, 503, {"Retry-After": "9"}) if "late" in body["inputs"] else answer(route, body)
    )
    choose(page, "a.csv", "text\n" + "early\n" * 64 + "late\n")
    page.click("#run:enabled")
    expect(page.locator("#batch-state")).to_contain_text("Trying again")
    assert 0.5 < page.locator("#progress").evaluate("bar => bar.value") < 1
    page.click("#stop")
    expect(page.locator("#batch-state")).to_contain_text("Cancelled.")
    rows = saved(page)[1].splitlines()[1:]
    assert set(rows) == {'early,EARLY,0.5,"[{""label"":""EARLY"",""score"":0.5}]",'}
    expect(page.locator("#run")).to_be_enabled()


def test_a_key_that_is_missing_ends_the_job_and_is_asked_for(page, service):
    service.answer = lambda *_: Reply({"error": "send a key"}, 401)
    choose(page, "a.csv", "text\na\n")
    page.click("#run:enabled")
    expect(page.locator("#batch-state")).to_contain_text("send a key")
    expect(page.locator("#key")).to_be_visible()
    expect(page.locator("#saved")).to_be_hidden()


def test_inputs_of_two_texts_have_two_columns(page, service):
    service.answer = lambda _, body: [[] for _ in body["inputs"]]
    page.select_option("#task", "/quote")
    choose(page, "a.csv", "text,other\na,b\n")
    page.locator("#columns select").nth(1).select_option("other")
    page.click("#run:enabled")
    page.wait_for_selector("#saved:not([hidden])")
    assert service.asked[-1] == ("quote", {"model": "judge", "inputs": [{"text": "a", "text_pair": "b"}]})
    page.select_option("#task", "/find")
    service.answer = lambda *_: [{"answer": "Bob", "score": 0.9, "start": 0, "end": 3}]
    choose(page, "a.csv", "who,context,question\nx,Bob.,Who?\n")
    page.click("#run:enabled")
    assert saved(page)[1].splitlines()[0] == "who,context,question,answer,error"
    assert service.asked[-1][1]["inputs"] == [{"question": "Who?", "context": "Bob."}]


def test_a_route_of_another_service_has_the_columns_of_the_model(page, service):
    entry = {"object": "embedding", "index": 0, "embedding": [0.5]}
    service.__init__({"v1/say": (EmbeddingsRequest, {"input": "a"})}, answer=lambda *_: {"data": [entry]})
    service.texts = {"v2/models/v1%2Fsay": json.dumps({"outputs": [{"name": "embedding"}]})}
    page.reload()
    assert run(page, "a.csv", "text\na\n")[1] == "text,embedding,error\na,[0.5],\n"


def test_a_file_that_is_not_utf_8_is_refused_in_a_sentence(page):
    choose(page, "a.csv", "text\nÜber\n".encode("cp1252"))
    expect(page.locator("#batch-state")).to_contain_text("not in UTF-8")
    expect(page.locator("#run")).to_be_disabled()
    choose(page, "a.csv.gz", b"text\na\n")
    expect(page.locator("#batch-state")).to_contain_text("not whole gzip")
    choose(page, "a.csv", "")
    expect(page.locator("#batch-state")).to_contain_text("no line with names of columns")


def test_a_row_is_the_same_wherever_its_characters_are_cut(page):
    content = csv_of([["a", "b"], *([text, text[::-1]] for text in TEXTS), ['"', '""'], ["", ""]])
    read = """([text, size]) => {
        const reader = new CsvRows(","), rows = [];
        for (let i = 0; i < text.length; i += size) rows.push(...reader.add(text.slice(i, i + size)));
        return [...rows, ...reader.end()].map(row => [row.values.a, row.values.b]);
    }"""
    expected = list(csv.reader(io.StringIO(content, newline="")))[1:]
    for size in (1, 2, 3, 1000):
        assert page.evaluate(read, [content, size]) == expected


def test_a_large_file_leaves_the_page_alive(page, service):
    """The longest that the page stands still, while it reads and asks 20,000 rows, is a fraction of the whole."""
    page.evaluate("""() => {
        window.ticks = 0;
        const channel = new MessageChannel();
        channel.port1.onmessage = () => { window.ticks++; channel.port2.postMessage(0); };
        channel.port2.postMessage(0);
        const echo = request => JSON.stringify(JSON.parse(request.body).inputs);
        window.fetch = async (path, request) => new Response(path.startsWith("v2/") ? "{}" : echo(request));
    }""")
    rows = "text\n" + "a text of some words, and more of them\n" * 20_000
    page.locator("#task").select_option("/say")
    _, content = run(page, "a.tsv", rows)
    assert len(content.splitlines()) == 20_001
    assert page.evaluate("window.ticks") > 50
