"""A tab of a browser that the tests of the page share, before a service that each of them writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import Written, opened


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[tuple[Page, Written]]:
    """Return an empty page, and the service that it will find."""
    written = Written()
    with opened(browser, "about:blank", written) as page:
        yield page, written
