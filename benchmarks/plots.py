"""The figures of a run, as SVG: medians as lines, and the range of all rounds behind them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

PANEL_INCHES = (4.6, 3.4)
COLUMNS = 2


@dataclass(frozen=True)
class Line:
    """`y` holds for each `x` what every round measured."""

    name: str
    x: Sequence[float]
    y: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Panel:
    """Lines over one pair of axes; a logarithmic x has its ticks at the lines' own values."""

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
        axes.set_xticks(sorted({x for line in panel.lines for x in line.x}))
        axes.xaxis.set_major_formatter(ScalarFormatter())
    if panel.log_y:
        axes.set_yscale("log")
        for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            which(ScalarFormatter())
    else:
        axes.set_ylim(bottom=0)
    axes.grid(True, which="both", alpha=0.25)
    if len(panel.lines) > 1:
        axes.legend(frameon=False)


def save(figure: Figure, path: Path) -> None:
    """Write a figure that is the same file for the same numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
