"""Draws a dashboard from what Prometheus answers to its queries; Grafana itself is not needed."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from tests.watch.asking import INTERVAL
from tests.watch.definitions import Query, panels
from tests.watch.programs import Prometheus

matplotlib.use("Agg")

COLUMN_IN, LINE_IN = 0.75, 0.36  # the size of a place of Grafana's grid
COLORS = {"green": "#3d9a50", "yellow": "#c9a100", "red": "#c4314b", "blue": "#3274a1"}
MOST_LINES = 10
GAP_S = 2.0  # without a point
FRESH_S = 5.0  # an older value is not that of now
HIDDEN = ("__name__", "job", "service", "alertstate")

Json = dict[str, Any]


def draw(dashboard: Json, prometheus: Prometheus, file: Path) -> None:
    """Write a picture of a dashboard over all the time that Prometheus has seen."""
    shown = [panel for panel in panels(dashboard) if not all("gpu" in each["expr"] for each in panel["targets"])]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in shown)
    figure = Figure(figsize=(24 * COLUMN_IN, height * LINE_IN), dpi=64)
    figure.suptitle(dashboard["title"], x=0.01, y=0.998, ha="left", fontsize=15, fontweight="bold")
    for panel in shown:
        at = panel["gridPos"]
        left, bottom = (at["x"] + 0.8) / 24, 1 - (at["y"] + at["h"] - 0.9) / height
        place = (left, bottom, (at["w"] - 1.3) / 24, (at["h"] - 2.2) / height)
        axes = figure.add_axes(place)
        axes.set_title(panel["title"], fontsize=10, loc="left")
        found = [(each, prometheus.series(Query("", each["expr"]), INTERVAL)) for each in panel["targets"]]
        DRAWN[panel["type"]](axes, panel, found, prometheus.started)
    figure.savefig(file)


Found = list[tuple[Json, list[Json]]]


def graph(axes: Axes, panel: Json, found: Found, started: float) -> None:
    lines = [(legend(target, each["metric"]), each["values"]) for target, series in found for each in series]
    times = sorted({moment for _, values in lines for moment, _ in values})
    if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal" and lines:
        by_time = [{moment: number(value) for moment, value in values} for _, values in lines]
        heights = [[each.get(moment, 0.0) for moment in times] for each in by_time]
        axes.stackplot([moment - started for moment in times], *heights, labels=[name for name, _ in lines], alpha=0.7)
    else:
        for name, values in lines:
            moments, heights = with_gaps(values)
            axes.plot([moment - started for moment in moments], heights, label=name, linewidth=1.2)
    axes.set_ylim(bottom=0)
    style(axes)
    if 1 < len(lines) <= MOST_LINES or (lines and lines[0][0]):
        axes.legend(fontsize=6, loc="upper left", ncols=2, framealpha=0.6)


def with_gaps(values: list[tuple[float, str]]) -> tuple[list[float], list[float]]:
    """Return moments and values; where nothing is known for a while, no line is to be drawn."""
    moments, heights = [moment for moment, _ in values], [number(value) for _, value in values]
    gaps = [at for at in range(1, len(moments)) if moments[at] - moments[at - 1] > GAP_S]
    for at in reversed(gaps):
        moments.insert(at, moments[at - 1] + GAP_S / 2)
        heights.insert(at, math.nan)
    return moments, heights


def heatmap(axes: Axes, _: Json, found: Found, started: float) -> None:
    series = sorted((each for _, series in found for each in series), key=lambda each: float(each["metric"]["le"]))
    times = sorted({moment for each in series for moment, _ in each["values"]})
    columns = [{moment: number(value) for moment, value in each["values"]} for each in series]
    sums = [[column.get(moment, 0.0) for moment in times] for column in columns]
    counts = [
        [max(0.0, upto - less) for upto, less in zip(row, before, strict=True)]
        for row, before in zip(sums[1:], sums, strict=False)
    ]
    edges = [moment - started for moment in times]
    axes.pcolormesh(edges, range(len(sums)), [sums[0], *counts], cmap="Blues", shading="nearest", norm=PowerNorm(0.3))
    axes.set_yticks(range(len(series)), [each["metric"]["le"] for each in series], fontsize=6)
    style(axes)


def stat(axes: Axes, panel: Json, found: Found, _: float) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    latest = [each["values"][-1] for _, series in found for each in series]
    values = [number(value) for moment, value in latest if moment > time.time() - FRESH_S]
    value = values[-1] if values else None
    steps = defaults["thresholds"]["steps"]
    passed = [step for step in steps if step["value"] is None or (value or 0) >= step["value"]]
    text = defaults["noValue"] if value is None else f"{value:.3g}"
    for mapping in defaults.get("mappings", ()):
        text = mapping["options"].get(text, {}).get("text", text)
    axes.set_facecolor(COLORS[passed[-1]["color"]] if value is not None else "#888888")
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=16, color="white", fontweight="bold")
    axes.set_xticks([])
    axes.set_yticks([])


def table(axes: Axes, _: Json, found: Found, __: float) -> None:
    axes.axis("off")
    rows = [
        "   ".join(value for name, value in sorted(each["metric"].items()) if name not in HIDDEN)
        for _, series in found
        for each in series
    ]
    axes.text(0, 1, "\n".join(rows[:14]), va="top", fontsize=7, family="monospace")


def style(axes: Axes) -> None:
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def legend(target: Json, labels: Json) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), target["legendFormat"])


def number(text: str) -> float:
    return float(text)


DRAWN = {"timeseries": graph, "heatmap": heatmap, "stat": stat, "table": table}
