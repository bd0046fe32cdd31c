"""`roberta-train check`: what is wrong with the data of a recipe, and how to mend it."""

from __future__ import annotations

import argparse

from training.commands.arguments import recipe_of


def run(options: argparse.Namespace) -> int:
    """Print a table of findings; return 1 when there are errors, else 0."""
    from rich.console import Console

    from training.checking import check, show

    findings = check(recipe_of(options), options.data)
    show(findings, Console())
    return int(any(finding.severity == "error" for finding in findings))
