"""Draws docs/architecture.svg: python docs/architecture.py"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

STYLE = """
  .paper { fill: #ffffff; }
  .frame { fill: #f4f6f8; stroke: #8c959f; stroke-dasharray: 4 4; }
  .box { fill: #ffffff; stroke: #57606a; }
  .arrow { stroke: #57606a; stroke-width: 1.5; fill: none; marker-end: url(#head); }
  .head { fill: #57606a; }
  text { font: 13px system-ui, sans-serif; fill: #57606a; text-anchor: middle; }
  text.name { font-weight: 600; font-size: 15px; fill: #1f2328; }
  text.start { text-anchor: start; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; }
    .frame { fill: #161b22; stroke: #6e7681; }
    .box { fill: #21262d; stroke: #8b949e; }
    .arrow { stroke: #8b949e; }
    .head { fill: #8b949e; }
    text { fill: #9da7b1; }
    text.name { fill: #e6edf3; }
  }
"""


class Box(NamedTuple):
    """A rectangle with a name and lines of text; sizes are in pixels."""

    name: str
    lines: tuple[str, ...]
    x: int
    y: int
    width: int
    height: int


FRAMES = (Box("app/", (), 20, 100, 570, 560), Box("training/", (), 640, 100, 400, 560))
BOXES = (
    Box("clients", ("curl, browsers, Hugging Face's clients",), 200, 20, 370, 56),
    Box("labeled text", ("CSV, JSONL, Parquet, CoNLL, the Hub",), 690, 20, 300, 56),
    Box(
        "processes",
        ("supervisor,", "workers,", "engine processes:", "the same parts,", "spread out"),
        40,
        140,
        130,
        290,
    ),
    Box("api", ("the one way in over HTTP",), 200, 140, 370, 60),
    Box("service, serving", ("models found, loaded, checked, asked",), 200, 240, 370, 60),
    Box("engine", ("queue, scheduler,", "cost model, runners"), 200, 340, 170, 84),
    Box("tasks", ("text to windows,", "outputs to an answer"), 400, 340, 170, 84),
    Box("runtime", ("sessions on CPU, CUDA;", "packing, grid"), 200, 464, 170, 84),
    Box("graphs", ("rewriting of", "ONNX graphs"), 400, 464, 170, 84),
    Box("bundle", ("manifest, graphs, tokenizer, probes",), 200, 588, 370, 56),
    Box("commands", ("the verbs of roberta-train",), 660, 140, 360, 56),
    Box("checking", ("of data",), 660, 240, 90, 80),
    Box("fit", ("pretraining,", "compression"), 770, 240, 120, 80),
    Box("export", ("graphs, int8,", "publishing"), 910, 240, 110, 80),
    Box("tasks", ("all that depends on the task",), 660, 364, 360, 60),
    Box("data", ("files become", "examples"), 660, 468, 112, 80),
    Box("encoders", ("how families", "load and pack"), 782, 468, 112, 80),
    Box("evaluation", ("scores,", "the report"), 904, 468, 116, 80),
    Box("config", ("recipes",), 660, 588, 360, 56),
)
ARROWS = (
    "M385 76 V138",
    "M385 200 V238",
    "M285 300 V338",
    "M485 300 V338",
    "M285 424 V462",
    "M370 506 H398",
    "M385 300 V586",
    "M285 548 V586",
    "M170 170 H198",
    "M170 270 H198",
    "M170 382 H198",
    "M840 76 V138",
    "M705 196 V238",
    "M830 196 V238",
    "M965 196 V238",
    "M705 320 V362",
    "M830 320 V362",
    "M965 320 V362",
    "M716 424 V466",
    "M838 424 V466",
    "M962 424 V466",
    "M716 548 V586",
    "M838 548 V586",
    "M962 548 V586",
    "M640 382 H572",
    "M640 444 H340 V462",
    "M640 506 H572",
    "M640 616 H572",
)


def drawing() -> str:
    """Return the picture: from each part an arrow to what it uses."""
    width, height = 1060, 680
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="Parts of the '
        'service and of training, each with arrows to what it uses">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>',
        f'<rect class="paper" width="{width}" height="{height}"/>',
        *(rectangle(frame, "frame") + label(frame) for frame in FRAMES),
        *(f'<path class="arrow" d="{path}"/>' for path in ARROWS),
        *(rectangle(box, "box") + words(box) for box in BOXES),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def rectangle(box: Box, kind: str) -> str:
    return f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6"/>'


def label(frame: Box) -> str:
    return f'<text class="name start" x="{frame.x + 16}" y="{frame.y + 26}">{escape(frame.name)}</text>'


def words(box: Box) -> str:
    """Write a name and its lines, centered in the box."""
    middle, step = box.x + box.width // 2, 17
    top = box.y + (box.height - step * (1 + len(box.lines))) // 2 + 13
    lines = [f'<text class="name" x="{middle}" y="{top}">{escape(box.name)}</text>']
    lines += [f'<text x="{middle}" y="{top + step * n}">{escape(line)}</text>' for n, line in enumerate(box.lines, 1)]
    return "".join(lines)


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
