"""The report in headless Chromium: the mistakes that a person looks for, and that nothing is loaded or refused."""

from __future__ import annotations

import pytest

from tests.support.browser import chromium
from tests.training.evaluation.test_report import classified, page
from training.config import EvaluationConfig

TITLE = "<script>document.title = 'broken into'</script>"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a report in a tab, with what Chromium said about it and all that it asked for."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("tests.training.evaluation.test_report.CONFIG", EvaluationConfig(bootstrap_samples=0))
    evaluation = classified(("no", "yes", "<b>maybe</b>"))
    monkeypatch.undo()
    folder = tmp_path_factory.mktemp("report")
    page(folder, evaluation, title=TITLE)
    with chromium() as browser:
        tab = browser.new_page()
        tab.said, tab.asked = [], []
        tab.on("console", lambda message: tab.said.append(message.text))
        tab.on("pageerror", lambda error: tab.said.append(str(error)))
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.goto((folder / "report.html").as_uri())
        yield tab


@pytest.fixture
def search(report):
    """The field of the filter, empty before and after each test."""
    field = report.get_by_label("Show those with")
    yield field
    field.fill("")


def shown(report):
    """Return the texts of the mistakes that can be seen, by their group."""
    found = {}
    for group in report.locator("details.group").all():
        if group.is_visible():
            rows = [row.locator(".text").inner_text() for row in group.locator("li").all() if row.is_visible()]
            found[group.get_attribute("data-name")] = rows
    return found


def test_the_filter_is_there_and_everything_is_shown(report, search):
    assert search.is_visible()
    assert report.locator("#filter output").inner_text() == ""
    groups = shown(report)
    assert len(groups) > 3
    assert all(rows for rows in list(groups.values())[:3])  # the first are open
    assert not any(list(groups.values())[3:])


def test_a_text_is_found_whatever_its_case_in_groups_that_were_closed_too(report, search):
    name, text = report.evaluate(
        """() => { const group = [...document.querySelectorAll("details.group")].at(-1);
                   return [group.dataset.name, group.querySelector(".text").textContent]; }"""
    )
    search.fill(text.upper())
    assert shown(report)[name] == [text]
    assert all(text in row for rows in shown(report).values() for row in rows)
    count = sum(map(len, shown(report).values()))
    assert report.locator("#filter output").inner_text() == f"{count} shown"


def test_the_name_of_a_confusion_shows_all_of_its_mistakes_and_no_others(report, search):
    search.fill("no taken for yes")
    assert list(shown(report)) == ["no taken for yes"]
    assert len(shown(report)["no taken for yes"]) == report.locator('details[data-name="no taken for yes"] li').count()


def test_what_is_nowhere_says_so_and_an_empty_filter_shows_all_again(report, search):
    before = report.locator("details.group").count()
    search.fill("qqq")
    assert shown(report) == {}
    assert report.locator("#filter output").inner_text() == "0 shown"
    search.fill("")
    assert len(shown(report)) == before
    assert report.locator("#filter output").inner_text() == ""


def test_nothing_is_loaded_refused_or_run_that_is_not_the_page_s_own(report):
    assert report.asked == [report.url]
    assert report.said == []
    assert report.title() == f"{TITLE}: evaluation"
