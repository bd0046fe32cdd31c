"""Findings as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.checking.findings import Finding, Severity

COLORS: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print the findings, errors first, and how many there are of each severity."""
    table = Table(box=box.HORIZONTALS, show_lines=True, expand=True, padding=(0, 1))
    table.add_column("finding", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("what was found, where, and what to do", ratio=1, overflow="fold")
    for finding in findings:
        table.add_row(heading_of(finding), f"{finding.count:,}", details_of(finding))
    console.print(table)
    console.print(Text(verdict(findings)))


def heading_of(finding: Finding) -> Text:
    heading = Text(finding.severity, style=COLORS[finding.severity])
    return heading.append(f"\n{finding.check}\n{finding.splits}", style="default")


def details_of(finding: Finding) -> Text:
    details = Text(finding.summary)
    for example in finding.examples:
        details.append(f"\n  {example}", style="dim")
    if finding.remedy:
        details.append(f"\n{finding.remedy}", style="italic")
    return details


def verdict(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    figures = ", ".join(f"{counts[each]} {each}{'' if counts[each] == 1 else 's'}" for each in COLORS)
    return f"{figures}. " + ("Training would stop at the errors." if counts["error"] else "Training can start.")
