"""The figures of a run, as SVG: medians as lines, and the range of all rounds behind them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

PANEL_INCHES = (4.6, 3.4)
COLUMNS = 2
MOST_TICKS = 12


@dataclass(frozen=True)
class Line:
    """`y` holds for each `x` what every round measured."""

    name: str
    x: Sequence[float]
    y: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Panel:
    """Lines over one pair of axes; where there are few, the values of x are its ticks."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False


def draw(panels: Sequence[Panel]) -> Figure:
    """Draw the panels, two in a row."""
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * PANEL_INCHES[0], rows * PANEL_INCHES[1]), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for panel, axes in zip(panels, grid, strict=False):
        draw_panel(panel, axes)
    for axes in list(figure.axes)[len(panels) :]:
        axes.remove()
    return figure


def draw_panel(panel: Panel, axes: Axes) -> None:
    for line in panel.lines:
        (drawn,) = axes.plot(line.x, [statistics.median(y) for y in line.y], marker="o", markersize=3, label=line.name)
        axes.fill_between(
            line.x, [min(y) for y in line.y], [max(y) for y in line.y], color=drawn.get_color(), alpha=0.15, lw=0
        )
    axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    if panel.log_x:
        axes.set_xscale("log", base=2)
    values = sorted({x for line in panel.lines for x in line.x})
    if len(values) <= MOST_TICKS:
        axes.set_xticks(values)
        axes.xaxis.set_major_formatter(ScalarFormatter())
    if panel.log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=0)
    axes.grid(True, alpha=0.25)
    if len(panel.lines) > 1:
        axes.legend(frameon=False)


def save(figure: Figure, path: Path) -> None:
    """Write a figure that is the same file for the same numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
