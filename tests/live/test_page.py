"""The page at `/` before the real service: it asks every task by its example, and draws what is answered."""

from __future__ import annotations

import pytest

from tests.support.browser import ask, chromium, opened


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


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
