"""Draws docs/report-light.png and docs/report-dark.png from the report of a fine-tuning, in headless Chromium.

    python -m docs.report_picture                              fine-tunes examples/tickets.toml first: a minute
    python -m docs.report_picture runs/tickets/report/report.html

Those in this folder are of the former. It needs Chromium, and what the tests need.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.support.browser import chromium
from training.__main__ import main as train

HERE = Path(__file__).parent
WIDTH = 960
LAST = "Scores"  # the heading before which the picture ends
COLORS = 128
MOST_BYTES = 150_000


def draw(report: Path) -> None:
    """Write both pictures: scores, costs, learning curves and confusion.

    Raises `ValueError` where one is too large for the repository.
    """
    with chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": WIDTH, "height": WIDTH}, color_scheme=scheme)
            page.goto(report.resolve().as_uri())
            end = page.get_by_role("heading", name=LAST, exact=True).bounding_box()
            height = page.evaluate("document.body.scrollHeight") if end is None else end["y"]
            file = HERE / f"report-{scheme}.png"
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
            shot = Image.open(BytesIO(page.screenshot(full_page=True, clip=clip)))
            shot.convert("RGB").quantize(COLORS).save(file, optimize=True)
            if file.stat().st_size > MOST_BYTES:
                raise ValueError(f"{file} has {file.stat().st_size:,} bytes; at most {MOST_BYTES:,}")


def draw_new() -> None:
    """Fine-tune the example, and draw its report."""
    with TemporaryDirectory() as folder:
        places = ["--run-dir", f"{folder}/runs/tickets", "--models", f"{folder}/models"]
        train(["finetune", "examples/tickets.toml", *places])
        draw(Path(folder, "runs", "tickets", "report", "report.html"))


if __name__ == "__main__":
    draw(Path(sys.argv[1])) if sys.argv[1:] else draw_new()
