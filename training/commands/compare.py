"""`roberta-train compare`: whether one run is better than another, and the texts that they answer otherwise."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.command_line.output import as_json
from training.evaluation.comparing import LOSS, RIGHT, SIGNIFICANCE, Comparison, Difference, Row, compare, read_report
from training.evaluation.metrics import metric_name, number


def run(options: Namespace) -> str:
    """Show the comparison, or return it as JSON."""
    before, after = (read_report(folder, options.variant) for folder in (options.before, options.after))
    found = compare(before, after)
    if options.json:
        return as_json(told(found), 1)
    console = Console()
    heads = [f"{each.title} {each.variant}" for each in (before, after)]
    console.print(table_of(found, heads))
    console.print(Text(verdict(found)))
    for title, pairs in (("right only in the second", found.fixed), ("right only in the first", found.broken)):
        show_texts(console, f"{len(pairs):,} {title}", pairs, options.most)
    console.print(Text(f"{len(found.changed):,} more are wrong in both, in another way."))
    return ""


def table_of(found: Comparison, heads: Sequence[str]) -> Table:
    table = Table("metric", *heads, "difference", "95 % interval")
    for each in found.differences:
        change = f"{each.after - each.before:+.4f}"
        reach = "" if each.interval is None else f"{each.interval[0]:+.4f} to {each.interval[1]:+.4f}"
        table.add_row(name_of(each), number(each.before), number(each.after), change, reach)
    return table


def name_of(difference: Difference) -> str:
    return {RIGHT: "right as a whole", LOSS: "mean loss"}.get(difference.metric) or metric_name(difference.metric)[0]


def verdict(found: Comparison) -> str:
    """Say in a sentence which is better, and whether that may be chance."""
    main = found.differences[0]
    tested = f"McNemar's p = {found.p_value:.3f} over {len(found.fixed) + len(found.broken):,} texts that flipped"
    if not main.is_real and found.p_value > SIGNIFICANCE:
        return f"The difference may be chance: {tested}, of {found.count:,}."
    better = "second" if main.is_better else "first"
    return f"The {better} is better by {name_of(main)}; {tested}, of {found.count:,}."


def show_texts(console: Console, title: str, pairs: Sequence[tuple[Row, Row]], most: int) -> None:
    console.print(Text(f"\n{title}", style="bold"))
    for one, other in pairs[:most]:
        console.print(Text(f"  {str(one['text'])[:200]}"))
        said = f"    truth {short(one['truth'])}: {short(one['prediction'])} → {short(other['prediction'])}"
        console.print(Text(said, style="dim"))
    if len(pairs) > most:
        console.print(Text(f"  and {len(pairs) - most:,} more; --most shows more of them, --json all"))


def short(value: Any) -> str:
    return (", ".join(map(str, value)) or "none")[:100] if isinstance(value, list) else str(value)[:100]


def told(found: Comparison) -> dict[str, Any]:
    return {
        "examples": found.count,
        "differences": [
            {"metric": each.metric, "before": each.before, "after": each.after, "interval_95": each.interval}
            for each in found.differences
        ],
        "p_value": found.p_value,
        **{
            name: [{"before": dict(one), "after": dict(other)} for one, other in getattr(found, name)]
            for name in ("fixed", "broken", "changed")
        },
    }
