"""Puts every fault to a service that a real Prometheus and Alertmanager watch: `make watch`.

Prints for each alert what made it fire, how long that took and when it ended, its state over time, and what each query
of the rules and dashboards gave. Ends with 1 where an alert does not fire or end, or a query has no data.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import until
from tests.watch.asking import GPU, INTERVAL
from tests.watch.definitions import alerts, dashboard_queries, dashboards, panels, recording_queries
from tests.watch.faults import Fault, faults
from tests.watch.programs import Prometheus, missing
from tests.watch.scene import scene
from tests.watch.stage import Stage, staged

WITHIN_S = 90.0
MARKS = {"pending": "-", "firing": "#"}
SAMPLE_S = 1.0


class Timeline:
    """The state of every alert, second by second."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.samples: list[dict[str, str]] = []

    def __enter__(self) -> Timeline:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.samples.append(self._prometheus.states())

    def line(self, name: str) -> str:
        return "".join(MARKS.get(sample.get(name, ""), ".") for sample in self.samples)


@dataclass(frozen=True)
class Played:
    """What an alert did while a fault was put to the service and after it, in seconds; None where it did not."""

    alert: str
    what: str
    fired_s: float | None
    ended_s: float | None
    told: bool  # the webhook, of both; or nobody is to be

    @property
    def is_well(self) -> bool:
        return self.fired_s is not None and self.ended_s is not None and self.told

    def row(self) -> str:
        fired, ended = ("not" if each is None else f"{each:.1f}" for each in (self.fired_s, self.ended_s))
        return f"| {self.alert.replace(' ', ', ')} | {self.what} | {fired} | {ended} |"


def play(fault: Fault, stage: Stage) -> list[Played]:
    """Put a fault to the service until its alerts fire and somebody is told; return what each of them did."""
    wanted = set(fault.alerts)
    since = 0 if wanted & stage.prometheus.firing() else len(stage.told.messages)
    started = time.monotonic()
    fired: dict[str, float] = {}

    def all_fired() -> bool:
        for name in wanted & stage.prometheus.firing() - fired.keys():
            fired[name] = time.monotonic() - started
        told = all(stage.told.told(name, "firing", since) for name in fault.told_at_once())
        return (fired.keys() == wanted and told) or time.monotonic() - started > WITHIN_S

    with fault.begin(stage):
        until(all_fired)
        others = stage.prometheus.firing() - wanted
    ending = time.monotonic()
    ended: dict[str, float] = {}

    def told_of(name: str) -> bool:
        return name in fault.untold or all(stage.told.told(name, each, since) for each in ("firing", "resolved"))

    def all_ended() -> bool:
        for name in fired.keys() - ended.keys() - stage.prometheus.firing():
            ended[name] = time.monotonic() - ending
        return (ended.keys() == fired.keys() and all(map(told_of, fired))) or time.monotonic() - ending > WITHIN_S

    until(all_ended)
    until(lambda: not stage.prometheus.firing() or time.monotonic() - ending > WITHIN_S)
    write(f"\n{fault.what}" + (f" (besides: {', '.join(sorted(others))})" if others else ""))
    played = [Played(name, fault.what, fired.get(name), ended.get(name), told_of(name)) for name in fault.alerts]
    for each in played:
        write(each.row() + ("" if each.told else " THE WEBHOOK WAS NOT TOLD OF BOTH"))
    return played


def mistakes(stage: Stage) -> None:
    """What clients do wrong must raise nothing."""
    with stage.traffic(mistakes=True) as traffic:
        until(lambda: traffic.statuses[504] > 50)
        time.sleep(8)
        found = stage.prometheus.firing()
    write(f"\nmistakes of clients: {dict(traffic.statuses)}; firing: {sorted(found) or 'nothing'}")


def values(stage: Stage) -> int:
    """Print the last value of every query; return how many have none."""
    empty = 0
    for query in dashboard_queries() + recording_queries():
        series = stage.prometheus.series(query, INTERVAL)
        last = f"{float(series[0]['values'][-1][1]):g}" if series else "no GPU" if GPU in query.expr else "NO DATA"
        empty += last == "NO DATA"
        write(f"  {query.where:60} {len(series):3} series, the last value of the first: {last}")
    return empty


def write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--list", action="store_true", help="name the faults")
    options.add_argument("--only", default="", help="faults with this in their name")
    options.add_argument("--pictures", type=Path, help="folder for two pictures of each dashboard, light and dark")
    given = options.parse_args()
    chosen = [fault for fault in faults() if given.only in f"{fault.what} {fault.alerts}"]
    if given.list:
        write("\n".join(f"{fault.what}: {', '.join(fault.alerts)}" for fault in chosen))
        return 0
    if packages := missing():
        write(f"apt-get install {' '.join(packages)}")
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny = folder / "tiny"
        make_models(tiny)
        with staged(tiny, folder / "stage") as stage, Timeline(stage.prometheus) as timeline:
            mistakes(stage)
            played = [each for fault in chosen for each in play(fault, stage)]
            write("\nEvery query:")
            empty = values(stage)
            errors = stage.prometheus.rule_errors()
            if given.pictures:
                with scene(stage) as since:
                    save_pictures(stage.prometheus, given.pictures, since)
        write(
            f"\nEvery alert, a sign each {SAMPLE_S:g} s: . inactive, - pending, # firing; and what the webhook was told"
        )
        for alert in alerts():
            label = f"{alert['alert']} {alert['labels']['severity']}"
            told = " ".join(status for status in ("firing", "resolved") if stage.told.told(alert["alert"], status))
            write(f"  {label:36} {timeline.line(label)}  {told or 'nothing'}")
    write("\n| alert | fault | fired after s | ended after s |\n|---|---|--:|--:|")
    write("\n".join(each.row() for each in played))
    failed = [each.alert for each in played if not each.is_well]
    write(f"\nNot fired, not ended, or not told: {failed or 'none'}")
    write(f"Queries without data: {empty}; errors of rules: {errors or 'none'}")
    return int(bool(failed or empty or errors))


def save_pictures(prometheus: Prometheus, folder: Path, since: float) -> None:
    """Draw every dashboard that has queries, from what happened since a time."""
    from tests.watch.pictures import draw

    folder.mkdir(parents=True, exist_ok=True)
    for name, dashboard in dashboards().items():
        if any("targets" in panel for panel in panels(dashboard)):
            draw(dashboard, prometheus, since, folder, name)


def make_models(folder: Path) -> None:
    """Publish the tiny bundles of the tests."""
    from tests.support.tiny import TAGS, publish_tiny, save_checkpoint, tiny_model

    models = {
        "classify": tiny_model("text-classification", ["negative", "neutral", "positive"]),
        "ner": tiny_model("token-classification", TAGS),
        "fill-mask": tiny_model("fill-mask"),
    }
    folder.mkdir()
    for route, model in models.items():
        publish_tiny(save_checkpoint(model, folder.with_name("checkpoints") / route), folder, f"tiny-{route}")


if __name__ == "__main__":
    sys.exit(main())
