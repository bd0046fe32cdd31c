"""Draws docs/report-light.png and docs/report-dark.png from a report in headless Chromium.

    python docs/report_picture.py reports/sentiment-1/report.html

Those in this folder are of the shipped `sentiment`, scored on 400 reviews by `roberta-train evaluate`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
SIZE = {"width": 960, "height": 1180}
MOST_BYTES = 150_000


def draw(report: Path) -> None:
    """Write both pictures of the page's beginning. Raises `ValueError` where one is too large for the repository."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(report.resolve().as_uri())
            file = HERE / f"report-{scheme}.png"
            page.screenshot(path=file)
            if file.stat().st_size > MOST_BYTES:
                raise ValueError(f"{file} has {file.stat().st_size:,} bytes; at most {MOST_BYTES:,}")
        browser.close()


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
