"""Computes the tables of docs/scaling.md and draws its picture: python docs/scaling.py [--core-hour 0.04 --gpu-hour 4]

Every number that was measured stands here once, with where it was; the rest is arithmetic on them.
"""

from __future__ import annotations

import argparse
import math
import re
from html import escape
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).with_suffix(".md")

# --- Measured. XEON: 2 cores with AMX, 2026-11-27. EPYC: 2 cores with AVX-512 VNNI, 2026-11-29. H200: 2026-11-27. ---
XEON_CORE, XEON_PAIR = 525.0, 1387.0  # texts/s, performance.md, "Growth"
XEON_FORWARD = 1802.0 / 2  # texts/s of one core, performance.md, `session.run`, two callers
XEON_PROCESS = 2868.0  # requests/s of one process without a model, benchmarks/README.md, front, lookup
XEON_WORKER_MS = 0.181  # CPU of a request, the same table, one worker, 32 connections
EPYC_PAIR, EPYC_FORWARD = 823.0, 572.0  # texts/s, benchmarks.serving.front and .parts
EPYC_BASE_TOKENS = 1129.0  # tokens/s of roberta-base in fp32 on both cores, benchmarks.gpu --device cpu
EPYC_TOKENIZING = 19506.0  # texts/s of one core, benchmarks.serving.parts
H200_HTTP, H200_FORWARD, H200_TOKENS = 13870.0, 29373.0, 1984554.0  # requests, texts, tokens a second, gpu.md
H200_WORKER_CORES, H200_QUEUE_BUSY = 4, 0.55  # meanwhile: cores that its workers took, share of its queue's thread
REQUEST_BYTES, ANSWER_BYTES, ARRAY_BYTES = 221, 517, 43  # the last for each token; benchmarks.serving.parts
SHORT_TOKENS = 26  # of the texts that all of these but the H200's were measured with

# --- From specifications, not measured. ---
PCIE_BYTES_S = 63e9  # PCI Express 5.0, 16 lanes, one direction
NIC_BYTES_S = 25e9 / 8
PACKET_BYTES = 78  # of Ethernet, IP and TCP around what one packet carries

PLANNED = 0.7  # share of saturation: there p99 is 2.4 times p50, performance.md, "Latency under load"
MILLION = 1e6


class Machine(NamedTuple):
    """What serves; `known` says how its rate is known. The model is the shipped one, or roberta-base on a GPU."""

    name: str
    rate: float
    known: str
    cores: int = 0
    gpus: int = 0


MACHINES = (
    Machine("one core, Xeon", XEON_CORE, "measured", 1),
    Machine("two cores, Xeon", XEON_PAIR, "measured", 2),
    Machine("two cores, EPYC", EPYC_PAIR, "measured", 2),
    Machine(
        "two cores, EPYC, roberta-base in fp32, no HTTP",
        EPYC_BASE_TOKENS / SHORT_TOKENS,
        "computed: 1,129 tokens/s / 26",
        2,
    ),
    Machine("16 cores, Xeon, 8 pods of two", 8 * XEON_PAIR, "computed: 8 times two cores", 16),
    Machine("16 cores, EPYC, 8 pods of two", 8 * EPYC_PAIR, "computed: 8 times two cores", 16),
    Machine("one H200 with 16 cores, one text a request", H200_HTTP, "measured", 0, 1),
    Machine("one H200, no HTTP, texts of 68 tokens", H200_FORWARD, "measured", 0, 1),
    Machine("ten machines of 16 cores, Xeon", 80 * XEON_PAIR, "computed: 80 times two cores", 160),
    Machine("ten machines with an H200 each", 10 * H200_HTTP, "computed: ten times one", 0, 10),
)


class Limit(NamedTuple):
    """What one unit of a part carries, in short texts a second, one in each request."""

    part: str
    unit: str
    rate: float
    known: str


LIMITS = (
    Limit("forward pass", "one core, EPYC", EPYC_FORWARD, "measured"),
    Limit("forward pass", "one core, Xeon", XEON_FORWARD, "measured: two cores, halved"),
    Limit("all but the forward pass", "one process", XEON_PROCESS, "measured"),
    Limit("HTTP and tokenizing", "one core, Xeon", 1000 / XEON_WORKER_MS, "computed: 1 / 0.181 ms"),
    Limit("the same, beside an H200", "one core", H200_HTTP / H200_WORKER_CORES, "computed: 13,870 on 4 cores"),
    Limit("queue and answers", "one engine process", H200_HTTP / H200_QUEUE_BUSY, "computed: 13,870 / 0.55"),
    Limit("tokenizing alone", "one core", EPYC_TOKENIZING, "measured"),
    Limit("service, roberta-base", "one H200", H200_HTTP, "measured"),
    Limit("forward pass, roberta-base", "one H200", H200_TOKENS / SHORT_TOKENS, "computed: 1,984,554 tokens/s / 26"),
    Limit(
        "network, 25 Gbit/s", "one card", NIC_BYTES_S / (ANSWER_BYTES + PACKET_BYTES), "computed: answers of 595 bytes"
    ),
    Limit("PCIe 5.0, 16 lanes", "one GPU", PCIE_BYTES_S / (ARRAY_BYTES * SHORT_TOKENS), "computed: 43 bytes a token"),
)
STEPS = (1_000, 10_000, 100_000, 1_000_000)


def table(columns: list[str], rows: list[list[str]], numbers: set[int]) -> str:
    rules = ["--:" if number in numbers else "---" for number in range(len(columns))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [columns, rules, *rows])


def machines() -> str:
    rows = [[m.name, f"{m.rate:,.0f}", f"{PLANNED * m.rate:,.0f}", m.known] for m in MACHINES]
    return table(["what", "texts/s", "to plan with", "how it is known"], rows, {1, 2})


def limits() -> str:
    rows = [[e.part, e.unit, f"{e.rate:,.0f}", f"{math.ceil(MILLION / e.rate):,}", e.known] for e in LIMITS]
    return table(["part", "unit", "texts/s", "units for a million a second", "how it is known"], rows, {2, 3})


def steps() -> str:
    def count(rate: float, of: float) -> str:
        return f"{math.ceil(rate / (PLANNED * of)):,}"

    rows = [
        [
            f"{rate:,}",
            count(rate, XEON_PAIR),
            count(rate, 8 * XEON_PAIR),
            count(rate, H200_HTTP),
            count(rate, H200_FORWARD),
        ]
        for rate in STEPS
    ]
    columns = ["texts/s", "pods of two cores", "machines of 16", "H200, one text a request", "H200, no HTTP, 68 tokens"]
    return table(columns, rows, {0, 1, 2, 3, 4})


def costs(core_hour: float, gpu_hour: float) -> str:
    def cost(machine: Machine) -> float:
        hour = machine.cores * core_hour + machine.gpus * gpu_hour
        return MILLION * hour / (PLANNED * machine.rate * 3600)

    rows = [[m.name, f"{m.cores}", f"{m.gpus}", f"{cost(m):.3f}"] for m in MACHINES if m.cores <= 2 and m.gpus <= 1]
    return table(["what", "cores", "GPUs", "for a million texts"], rows, {1, 2, 3})


def page(text: str, core_hour: float, gpu_hour: float) -> str:
    """Return the page with every table anew between its marks."""
    tables = {"machines": machines(), "limits": limits(), "steps": steps(), "costs": costs(core_hour, gpu_hour)}
    for name, content in tables.items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = mark.subn(lambda match, content=content: f"{match[1]}{content}\n{match[2]}", text)
        assert found == 1, name
    return text


# --- The picture ------------------------------------------------------------------------------------------

STYLE = """
  .paper { fill: #ffffff; }
  .measured { fill: #0969da; }
  .computed { fill: #ffffff; stroke: #0969da; stroke-width: 1.5; stroke-dasharray: 4 3; }
  .grid { stroke: #d0d7de; }
  text { font: 13px system-ui, sans-serif; fill: #57606a; }
  text.name { fill: #1f2328; }
  text.end { text-anchor: end; }
  text.middle { text-anchor: middle; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; }
    .measured { fill: #58a6ff; }
    .computed { fill: #0d1117; stroke: #58a6ff; }
    .grid { stroke: #30363d; }
    text { fill: #9da7b1; }
    text.name { fill: #e6edf3; }
  }
"""
LEFT, RIGHT, TOP, ROW = 330, 980, 44, 34
POWERS = range(2, 9)  # the axis is from 100 to 100 million


def at(rate: float) -> float:
    """Return where a rate is on the axis, in pixels."""
    return LEFT + (RIGHT - LEFT) * (math.log10(rate) - POWERS[0]) / (POWERS[-1] - POWERS[0])


def drawing() -> str:
    """Return bars of what one unit of each part carries, on a logarithmic axis; filled where it was measured."""
    height = TOP + ROW * len(LIMITS) + 44
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1060 {height}" role="img" aria-label="Short texts a '
            'second that one unit of each part carries, on a logarithmic axis">',
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="1060" height="{height}"/>',
            *(line for power in POWERS for line in tick(power, height)),
            *(bar(each, TOP + ROW * number) for number, each in enumerate(LIMITS)),
            f'<text class="middle" x="{(LEFT + RIGHT) / 2:.0f}" y="{height - 10}">'
            "short texts a second, one in each request; filled: measured, dashed: computed</text>",
            "</svg>\n",
        ]
    )


def tick(power: int, height: int) -> list[str]:
    x, bottom = at(10**power), height - 34
    return [
        f'<line class="grid" x1="{x:.0f}" y1="{TOP - 12}" x2="{x:.0f}" y2="{bottom}"/>',
        f'<text class="middle" x="{x:.0f}" y="{TOP - 20}">{10**power:,}</text>',
    ]


def bar(limit: Limit, y: int) -> str:
    kind, end = limit.known.partition(":")[0], at(limit.rate)
    return (
        f'<text class="name end" x="{LEFT - 12}" y="{y + 16}">{escape(limit.part)}: {escape(limit.unit)}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{end - LEFT:.0f}" height="22" rx="3"/>'
        f'<text x="{end + 8:.0f}" y="{y + 16}">{limit.rate:,.0f}</text>'
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core-hour", type=float, default=0.04, help="price of one core for an hour")
    parser.add_argument("--gpu-hour", type=float, default=4.0, help="price of one GPU with its cores for an hour")
    prices = parser.parse_args()
    PAGE.write_text(page(PAGE.read_text("utf-8"), prices.core_hour, prices.gpu_hour), "utf-8")
    PAGE.with_suffix(".svg").write_text(drawing(), "utf-8")
