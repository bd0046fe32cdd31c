"""A minute and a half as any other, of which the pictures of the dashboards are drawn."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.watch.stage import MODELS, Stage, publish_version

CLASSIFY = MODELS[0]
CALM_S, SHORT_S = 22.0, 3.0
SCRAPE_MS = 500  # a scrape of a busy machine may take longer than the quarter of a second that faults are watched at


@contextmanager
def scene(stage: Stage) -> Iterator[float]:
    """Ask for a while, with mistakes, a new version, failures and too much at once; yield when it began.

    Requests go on while it is entered.
    """
    stage.prometheus.target(stage.netloc, every_ms=SCRAPE_MS)
    began = time.time()
    with stage.traffic(mistakes=True), stage.traffic(CLASSIFY, clients=1, texts=8):
        time.sleep(CALM_S)
        version = publish_version(stage.models, CLASSIFY, 4)
        stage.reload()
        time.sleep(CALM_S)
        with stage.broken(CLASSIFY, "poison", "0"):
            time.sleep(SHORT_S)
        time.sleep(CALM_S / 2)
        with stage.broken(CLASSIFY, "slow", "60"), stage.traffic(CLASSIFY, clients=40, texts=3):
            time.sleep(SHORT_S)
        time.sleep(CALM_S)
        yield began
    shutil.rmtree(version)
    stage.reload()
