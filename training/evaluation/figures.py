"""The report's plots, as SVG to be put into the page: nothing is loaded from elsewhere, and texts stay texts."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.evaluation.record import Curve

INK = "#010203"  # replaced by the page's own text color, which is dark or light
SERIES = ("#3b82c4", "#d9822b", "#4c9f70", "#b0578d", "#8a7f3d", "#7a7a7a")  # seen on light and on dark
STYLE = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
WIDTH, HEIGHT = 5.0, 3.4  # inches, of 72 px

Points = Sequence[tuple[float, float]]


def line_figure(
    series: Mapping[str, Curve],
    x_label: str,
    y_label: str,
    *,
    diagonal: bool = False,
    unit: bool = False,
    markers: bool = False,
) -> str:
    """Draw curves; `diagonal` adds the line of equality, `unit` shows all of 0..1 on both axes."""

    def paint(axes: Axes) -> None:
        if diagonal:
            axes.plot([0, 1], [0, 1], color=INK, alpha=0.35, linewidth=1, linestyle="--")
        for color, (name, curve) in zip(colors(len(series)), series.items(), strict=True):
            axes.plot(
                curve.x, curve.y, color=color, label=name, linewidth=1.6, marker="o" if markers else "", markersize=4
            )
        if unit:
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if len(series) > 1:
            axes.legend()

    return draw(paint, x_label, y_label)


def scatter_figure(curve: Curve, x_label: str, y_label: str, *, diagonal: bool = True) -> str:
    """Draw a point per example, and the line on which both are equal; at most 2000 of them, evenly taken."""

    def paint(axes: Axes) -> None:
        keep = np.unique(np.linspace(0, len(curve.x) - 1, 2000).round().astype(int))
        low, high = min(curve.x.min(), curve.y.min()), max(curve.x.max(), curve.y.max())
        if diagonal:
            axes.plot([low, high], [low, high], color=INK, alpha=0.35, linewidth=1, linestyle="--")
        axes.scatter(curve.x[keep], curve.y[keep], s=8, alpha=0.5, color=SERIES[0], linewidths=0, rasterized=True)

    return draw(paint, x_label, y_label)


def heat_map(confusion: NDArray[np.int64]) -> str:
    """Draw the share of each true label (row) that gets each prediction (column), by its id in the table."""

    def paint(axes: Axes) -> None:
        shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(np.sqrt(shares), cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.8, ticks=np.sqrt([0, 0.01, 0.1, 0.25, 0.5, 1]))
        bar.ax.set_yticklabels(["0", "1 %", "10 %", "25 %", "50 %", "100 %"])
        bar.outline.set_visible(False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))

    return draw(paint, "predicted label", "true label", size=(6.4, 5.2))


def colors(count: int) -> list[str]:
    return [SERIES[index % len(SERIES)] for index in range(count)]


def draw(paint: Callable[[Axes], None], x_label: str, y_label: str, size: tuple[float, float] = (WIDTH, HEIGHT)) -> str:
    name = f"{x_label} {y_label}"
    with rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        paint(axes)
        axes.set_xlabel(x_label)
        if x_label == "epoch":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(y_label)
        stream = io.StringIO()
        FigureCanvasSVG(figure).print_svg(stream, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return for_page(stream.getvalue(), f"{y_label} by {x_label}")


def for_page(svg: str, title: str) -> str:
    """Return the svg element only: no prologue, no white background, in the page's ink and font, free to shrink."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'<g>\s*<path d="[^"]*" style="fill: #ffffff"/>\s*</g>', "", svg)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)  # it would rule the whole page
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    return re.sub(
        r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>",
        rf'<svg \1 role="img" aria-label="{title}" xmlns:xlink="http://www.w3.org/1999/xlink">',
        svg,
        count=1,
    )
