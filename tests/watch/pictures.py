"""Draws a dashboard from what Prometheus answers to its queries; Grafana itself is not needed."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from tests.watch.asking import INTERVAL
from tests.watch.definitions import Query, panels
from tests.watch.programs import Prometheus

matplotlib.use("Agg")

COLUMN_IN, LINE_IN = 0.75, 0.36  # the size of a place of Grafana's grid
# Grafana's two themes: behind the panels, panels, text, and the first colors of its palette.
SCHEMES = {
    "": {"page": "#f4f5f5", "panel": "#ffffff", "ink": "#24292e", "map": "Blues"},
    "-dark": {"page": "#111217", "panel": "#181b1f", "ink": "#ccccdc", "map": "Blues_r"},
}
PALETTE = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#37872d", "#ff7383", "#a352cc"]
COLORS = {"green": "#3d9a50", "yellow": "#c9a100", "red": "#c4314b", "blue": "#3274a1"}
MOST_LINES = 10
GAP_S = 2.0  # without a point
FRESH_S = 5.0  # an older value is not that of now
HIDDEN = ("__name__", "job", "service", "alertstate")

Json = dict[str, Any]


Found = list[tuple[Json, list[Json]]]
Times = tuple[float, float]  # the first and the last moment of a picture


def draw(dashboard: Json, prometheus: Prometheus, since: float, folder: Path, name: str) -> None:
    """Write pictures of a dashboard from a time until now: NAME.png, and NAME-dark.png."""
    shown = [panel for panel in panels(dashboard) if not all("gpu" in each["expr"] for each in panel["targets"])]
    found = [
        [(each, prometheus.series(Query("", each["expr"]), INTERVAL, since)) for each in panel["targets"]]
        for panel in shown
    ]
    now = time.time()
    for suffix, colors in SCHEMES.items():
        with matplotlib.rc_context(style_of(colors)):
            figure = drawn(dashboard["title"], shown, found, (since, now))
            figure.savefig(folder / f"{name}{suffix}.png")


def style_of(colors: dict[str, str]) -> Json:
    """Return what matplotlib calls the colors of a theme."""
    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    behind = {"figure.facecolor": colors["page"], "axes.facecolor": colors["panel"], "image.cmap": colors["map"]}
    legend = {"legend.facecolor": colors["panel"], "legend.edgecolor": colors["page"]}
    return dict.fromkeys(ink, colors["ink"]) | behind | legend | {"axes.prop_cycle": cycler(color=PALETTE)}


def drawn(title: str, shown: list[Json], found: list[Found], times: Times) -> Figure:
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in shown)
    figure = Figure(figsize=(24 * COLUMN_IN, height * LINE_IN), dpi=64)
    figure.suptitle(title, x=0.01, y=0.998, ha="left", fontsize=15, fontweight="bold")
    for panel, series in zip(shown, found, strict=True):
        at = panel["gridPos"]
        left, bottom = (at["x"] + 0.8) / 24, 1 - (at["y"] + at["h"] - 0.9) / height
        place = (left, bottom, (at["w"] - 1.3) / 24, (at["h"] - 2.2) / height)
        axes = figure.add_axes(place)
        axes.set_title(panel["title"], fontsize=10, loc="left")
        DRAWN[panel["type"]](axes, panel, series, times)
    return figure


def graph(axes: Axes, panel: Json, found: Found, span: Times) -> None:
    started, _ = span
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
    style(axes, span)
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


def heatmap(axes: Axes, _: Json, found: Found, span: Times) -> None:
    started = span[0]
    series = sorted((each for _, series in found for each in series), key=lambda each: float(each["metric"]["le"]))
    times = sorted({moment for each in series for moment, _ in each["values"]})
    columns = [{moment: number(value) for moment, value in each["values"]} for each in series]
    sums = [[column.get(moment, 0.0) for moment in times] for column in columns]
    counts = [
        [max(0.0, upto - less) for upto, less in zip(row, before, strict=True)]
        for row, before in zip(sums[1:], sums, strict=False)
    ]
    edges = [moment - started for moment in times]
    axes.pcolormesh(edges, range(len(sums)), [sums[0], *counts], shading="nearest", norm=PowerNorm(0.3))
    axes.set_yticks(range(len(series)), [each["metric"]["le"] for each in series], fontsize=6)
    style(axes, span)


def stat(axes: Axes, panel: Json, found: Found, span: Times) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    latest = [each["values"][-1] for _, series in found for each in series]
    values = [number(value) for moment, value in latest if moment > span[1] - FRESH_S]
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


def table(axes: Axes, _: Json, found: Found, span: Times) -> None:
    axes.axis("off")
    rows = [
        "   ".join(value for name, value in sorted(each["metric"].items()) if name not in HIDDEN)
        for _, series in found
        for each in series
        if each["values"][-1][0] > span[1] - FRESH_S
    ]
    axes.text(0, 1, "\n".join(rows[:14]) or "none", va="top", fontsize=7, family="monospace")


def style(axes: Axes, span: Times) -> None:
    axes.set_xlim(0, span[1] - span[0])
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.12)
    axes.spines[["top", "right"]].set_visible(False)


def legend(target: Json, labels: Json) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), target["legendFormat"])


def number(text: str) -> float:
    return float(text)


DRAWN = {"timeseries": graph, "heatmap": heatmap, "stat": stat, "table": table}
