"""Draws docs/pictures: the page before the bundles that ship, light and dark: python -m docs.pictures

It needs Chromium, and what the tests need.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.support.browser import ask, chromium
from tests.support.server import Service, serve, until

FOLDER = Path(__file__).parent / "pictures"
MODELS = Path(__file__).parents[1] / "models"
SIZE = {"width": 860, "height": 760}
SCALE = 1.5  # pixels of the picture for each of the page
NAMES = "Angela Merkel met Tim Cook at Apple's office in Berlin, before he flew to São Paulo for the United Nations."
REVIEW = "The plot is thin, but the two leads are so warm and funny that I did not mind."
MASKS = "The <mask> of France is <mask>."
SHOWN_PROGRESS = 0.4
LOOKS = 20  # of the live figures
QUEUE = (REVIEW, NAMES, "Dull.", "I loved every minute of it. " * 8)


def entities(page: Page) -> None:
    asked(page, "/ner", NAMES)


def explanation(page: Page) -> None:
    asked(page, "/explain", REVIEW)


def masks(page: Page) -> None:
    asked(page, "/fill-mask", MASKS)
    page.locator(".columns button").first.click()


def code(page: Page) -> None:
    page.click("#code summary")
    page.select_option("#language", "Python")
    asked(page, "/classify", REVIEW)


def batch(page: Page) -> None:
    page.click("#tab-batch")
    page.select_option("#task", "/classify")
    rows = "id,text\n" + "".join(f'{i},"{QUEUE[i % len(QUEUE)]}"\n' for i in range(2000))
    page.set_input_files("#file", {"name": "reviews.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    page.click("#run:enabled")
    until(lambda: page.evaluate("document.getElementById('progress').value") > SHOWN_PROGRESS)


def models(page: Page) -> None:
    page.click("#tab-models")
    page.click("#card-sentiment summary")
    page.wait_for_selector("#card-sentiment table")
    page.locator("#model-sentiment").scroll_into_view_if_needed()


def live(page: Page) -> None:
    page.click("#tab-live")
    until(lambda: page.evaluate("points.length") >= LOOKS)


STATES: dict[str, Callable[[Page], None]] = {
    each.__name__: each for each in (entities, explanation, masks, code, batch, models, live)
}


def asked(page: Page, route: str, text: str) -> None:
    page.select_option("#task", route)
    page.fill("#fields textarea", text)
    ask(page)


@contextmanager
def traffic(service: Service) -> Iterator[None]:
    """Ask while something is looked at, so that there is something to see."""
    ended = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=service.url) as client:
            for number in range(100_000):
                if ended.wait(0.02 + 0.1 * (number // 40 % 2)):
                    return
                client.post("/classify", json={"inputs": [QUEUE[number % len(QUEUE)]] * (1 + number % 5)})

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def draw(browser: Browser, service: Service, name: str, scheme: str) -> None:
    """Write the picture of one state."""
    with browser.new_context(viewport=SIZE, color_scheme=scheme, device_scale_factor=SCALE) as tab:
        page = tab.new_page()
        page.goto(service.url)
        page.wait_for_selector("#task")
        STATES[name](page)
        page.mouse.move(0, 0)
        picture = Image.open(io.BytesIO(page.screenshot()))
    FOLDER.mkdir(exist_ok=True)
    picture.convert("RGB").save(FOLDER / f"{name}-{scheme}.webp", lossless=True, method=6)


def main() -> None:
    with serve(MODELS) as service, chromium() as browser, traffic(service):
        for name in STATES:
            for scheme in ("light", "dark"):
                draw(browser, service, name, scheme)


if __name__ == "__main__":
    main()
