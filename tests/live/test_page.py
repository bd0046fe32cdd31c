"""The page at `/` before the real service: it asks every task by its example, and draws what is answered."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.support.browser import ask, opened


def test_every_task_is_asked_by_its_example_and_its_answer_drawn(browser, toys):
    served = {route for model in toys.client.get("/models").json()["models"] for route in model["routes"]}
    with opened(browser, toys.url) as page:
        page.wait_for_selector("#task")
        offered = page.locator("#task option").evaluate_all("options => options.map(option => option.value)")
        assert set(offered) == served
        for route in offered:
            page.select_option("#task", route)
            ask(page)
            assert page.locator("#answer .error").count() == 0, route
            assert page.locator("#answer").inner_text().strip(), route
            assert page.locator("#timing").inner_text().startswith("toy-"), route
        page.click("#tab-live")
        page.wait_for_selector(".chart")
        expect(page.locator("#engines")).to_contain_text("1 of 1")


@pytest.fixture
def page(browser, shipped):
    with opened(browser, shipped.url) as page:
        page.wait_for_selector("#task")
        yield page


def test_words_for_masks_are_put_into_the_text(page):
    page.select_option("#task", "/fill-mask")
    page.fill("#fields textarea", "The <mask> of France is <mask>.")
    ask(page)
    assert page.locator(".columns > div").count() == 2
    for column in range(2):
        page.locator(".columns > div").nth(column).locator("button").first.click()
    text = page.locator("#fields textarea").input_value()
    assert "<mask>" not in text
    assert text.startswith("The ")


def test_a_second_example_is_shown_with_its_options(page):
    page.select_option("#task", "/fill-mask")
    first = page.locator("#fields textarea").input_value()
    for top_k in ("1", "", "1"):
        page.get_by_role("button", name="Next example").click()
        expect(page.locator("#options").get_by_label("top_k", exact=True)).to_have_value(top_k)
        expect(page.locator("#fields textarea")).to_have_value(first)


def test_cards_of_models_are_shown(page):
    page.click("#tab-models")
    page.click("#card-ner summary")
    expect(page.locator("#card-ner h4").first).to_have_text("Named entities in English text")
    expect(page.locator("#models .badge.ready")).to_have_count(4)


def test_a_file_is_answered(page):
    page.click("#tab-batch")
    page.select_option("#task", "/classify")
    content = "id,text\n" + "".join(f'{i},"A ""warm"", funny\nfilm 😀"\n' for i in range(100))
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": content.encode()})
    page.click("#run:enabled")
    page.wait_for_selector("#saved:not([hidden])")
    expect(page.locator("#batch-state")).to_contain_text("100 rows answered, 0 with an error")


RUNNERS = {
    "curl": ["bash", "-c"],
    "Python": [sys.executable, "-c"],
    "JavaScript": ["node", "--input-type=module", "-e"],
}


@pytest.mark.parametrize("language", RUNNERS)
def test_code_that_is_copied_runs(page, language):
    program = "curl" if language == "curl" else RUNNERS[language][0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    page.select_option("#task", "/classify")
    page.fill("#fields textarea", 'It\'s "great" \\ $HOME `x` \N{GRINNING FACE}\nand more')
    page.click("#code summary")
    page.select_option("#language", language)
    code = page.locator("#snippet").text_content()
    done = subprocess.run([*RUNNERS[language], code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "positive" in done.stdout


@pytest.mark.parametrize("path", ["docs", "redoc"])
def test_documentation_needs_no_other_host(browser, shipped, path):
    """What a page asks of another host, as ReDoc does of its maker's logo, never leaves the browser."""
    with browser.new_context() as tab:
        page, asked = tab.new_page(), []
        page.on("requestfinished", lambda request: asked.append(request.url))
        page.goto(f"{shipped.url}/{path}")
        expect(page.get_by_text("/question-answering", exact=True).first).to_be_visible(timeout=30_000)
    assert [url for url in asked if not url.startswith((shipped.url, "data:", "blob:"))] == []


def test_a_text_of_fifty_thousand_characters_is_asked_and_drawn(page):
    text = "Angela Merkel met Tim Cook in Berlin. " * 1400
    page.select_option("#task", "/ner")
    page.fill("#fields textarea", text)
    ask(page)
    assert page.locator("#answer .text mark").count() > 1000
    assert page.locator("#answer tbody tr").count() == 100
    page.get_by_role("button", name="More of").click()
    assert page.locator("#answer tbody tr").count() == 200
