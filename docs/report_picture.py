"""Draws docs/report-light.png and docs/report-dark.png from a report in headless Chromium.

    python -m docs.report_picture reports/sentiment-1/report.html

Those in this folder are of the shipped `sentiment`, scored on 400 reviews by `roberta-train evaluate`. It needs
Chromium, and what the tests need.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.browser import chromium

HERE = Path(__file__).parent
SIZE = {"width": 960, "height": 1180}
MOST_BYTES = 150_000


def draw(report: Path) -> None:
    """Write both pictures of the page's beginning. Raises `ValueError` where one is too large for the repository."""
    with chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(report.resolve().as_uri())
            file = HERE / f"report-{scheme}.png"
            page.screenshot(path=file)
            if file.stat().st_size > MOST_BYTES:
                raise ValueError(f"{file} has {file.stat().st_size:,} bytes; at most {MOST_BYTES:,}")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
