"""The one table of a run, in Markdown, and what did not hold below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.tally import Tally

COLUMNS = ("fault", "shape", "sent", "right", "refused", "cut", "lost", "wrong", "late", "delay ms", "growth MB")
LEGEND = (
    "right: as the same request alone; refused: an error of docs/reference.md; cut: ended by the scenario itself (it "
    "left, or killed the process); lost: neither; late: after its deadline; delay: of a probe of /health/live, the "
    "longest; growth: of the resident memory of all processes, the most."
)


@dataclass(frozen=True)
class Row:
    """One scenario in one shape."""

    name: str
    fault: str
    shape: str
    tally: Tally

    def cells(self) -> list[str]:
        counted = self.tally
        numbers = [counted.sent, counted.right, counted.refused, counted.cut, counted.lost, counted.wrong, counted.late]
        measured = [counted.delay_ms, counted.growth_mb]
        return [
            f"{self.fault}: {counted.measured}" if counted.measured else self.fault,
            self.shape,
            *(f"{number:,}" for number in numbers),
            *("-" if value is None else f"{value:,.0f}" for value in measured),
        ]


def render(rows: Sequence[Row]) -> str:
    """Return the table, its legend, and a line for each bound that was broken."""
    lines = [COLUMNS, ("---", "---", *["--:"] * (len(COLUMNS) - 2)), *(row.cells() for row in rows)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return "\n\n".join([table, LEGEND, refusals(rows), *(f"**{verdict}**" for verdict in verdicts(rows))])


def refusals(rows: Sequence[Row]) -> str:
    """Return how often each error was the answer, a line for each scenario that had any."""
    counted = [(row, sorted(row.tally.codes.items())) for row in rows if row.tally.codes]
    return "\n".join(
        f"- {row.name} ({row.shape}): {', '.join(f'{code} {count:,}' for code, count in codes)}"
        for row, codes in counted
    )


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Return what did not hold, a sentence for each scenario and shape."""
    found = []
    for row in rows:
        if not row.tally.is_sound:
            reasons = [*row.tally.broken, *row.tally.notes]
            found.append(f"{row.name} ({row.shape}): {'; '.join(reasons)}")
    return found
