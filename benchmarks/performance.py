"""Every measurement of the service, and the page that shows them.

    python -m benchmarks.performance --checkpoint runs/sentiment/checkpoint --data DIR --base BASE \\
        --ner runs/ner/checkpoint

About 20 minutes; --rounds, --seconds and --only shorten it. It asserts no speed; a wrong answer ends it. Of the page it
writes only what stands between two marks; the rest is written by hand.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.serving import client_batches, comparison, growth, latency, long_text, memory, startup, tasks
from benchmarks.serving.material import Material, Plan, Section, log, observed, parser, prepared
from benchmarks.serving.plots import save
from benchmarks.tables import table

PAGE = Path("docs/performance.md")
BEGIN = "<!-- measured: written by benchmarks.performance -->"
END = "<!-- end of measured -->"
INTRODUCTION = (
    "Everything from here to the last table of start-up was measured by the command below, which writes it. Medians of "
    "all rounds are given, with the least and the greatest in brackets. Client and server share the machine. Every "
    "answer was checked while it was measured."
)

Measurement = Callable[[Material, Plan], Section]


def measurements(options: argparse.Namespace) -> dict[str, Measurement]:
    """Return every measurement by the name of its module."""
    return {
        "latency": latency.measure,
        "long_text": long_text.measure,
        "client_batches": client_batches.measure,
        "tasks": lambda material, plan: tasks.measure(material, plan, options.base, options.ner),
        "growth": growth.measure,
        "memory": memory.measure,
        "startup": lambda _material, _plan: startup.measure(startup.TIMES),
    }


def main() -> None:
    root = flags()
    options = root.parse_args()
    plan, known = Plan(options.rounds, options.seconds), measurements(options)
    chosen = options.only.split(",") if options.only else list(known)
    if unknown := set(chosen) - known.keys():
        root.error(f"--only: no measurement is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    sections = [comparison.read(options.http_json)] if options.http_json else []
    with prepared(options) as material:
        for name in chosen:
            sections.append(run(name, known[name], material, plan))
            write(options.output, sections, head(plan))  # each time: nothing is lost, should a later one fail
    print(target_table(sections))


def run(name: str, measurement: Measurement, material: Material, plan: Plan) -> Section:
    log.info("%s", name)
    started = time.monotonic()
    section = observed(lambda: measurement(material, plan))
    log.info("  %s took %.0f s", name, time.monotonic() - started)
    return section


def write(page: Path, sections: Sequence[Section], introduction: str) -> None:
    """Write the measured part of the page, and its figures into a folder of the same name beside it."""
    figures = page.with_suffix("")
    for section in sections:
        for name, figure in section.figures.items():
            save(figure, figures / f"{name}.svg")
    reached = [reached_table(sections)] if any(section.targets for section in sections) else []
    parts = [introduction, *reached, *(section.render(figures.name) for section in sections)]
    page.parent.mkdir(parents=True, exist_ok=True)
    before = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n\n"
    page.write_text(with_measured(before, "\n\n".join(parts)), encoding="utf-8")


def with_measured(page: str, measured: str) -> str:
    """Return the page with `measured` between the two marks, at its end where it has none."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2] or "\n"
    return f"{before}{BEGIN}\n\n{measured}\n\n{END}{after}"


def head(plan: Plan) -> str:
    command = shlex.join(["python", "-m", "benchmarks.performance", *sys.argv[1:]])
    return f"{INTRODUCTION}\n\n{describe_machine()} {plan}\n\n```\n{command}\n```"


def reached_table(sections: Sequence[Section]) -> str:
    targets = [target for section in sections for target in section.targets]
    return table(["measured", "result"], [[t.what, t.reached] for t in targets])


def target_table(sections: Sequence[Section]) -> str:
    targets = [target for section in sections for target in section.targets]
    return table(["measured", "target", "reached"], [[t.what, t.wanted, t.reached] for t in targets])


def flags() -> argparse.ArgumentParser:
    root = parser(__doc__)
    tasks.add_flags(root)
    root.add_argument("--only", help="measurements, separated by commas; else all")
    root.add_argument("--http-json", type=Path, metavar="FILE", help="what benchmarks.http wrote with --json")
    root.add_argument("--output", type=Path, default=PAGE, help=f"the page to write ({PAGE})")
    return root


if __name__ == "__main__":
    main()
