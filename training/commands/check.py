"""`roberta-train check`: what is wrong with the data of a recipe, and how to mend it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from rich.console import Console

from app.command_line.output import as_json
from training.checking import check, show
from training.checking.mending import check_again, mend
from training.commands.arguments import recipe_of


def run(options: Namespace) -> int:
    """Print the findings, and write the mended splits where that is asked; return 1 when there are errors, else 0."""
    recipe = recipe_of(options)
    findings = check(recipe, options.data)
    console = Console()
    if options.json:
        console.out(as_json([asdict(finding) for finding in findings], 1))
    else:
        show(findings, console)
    if options.fix is not None:
        told = Console(stderr=True)
        mended = mend(recipe, options.data, options.fix)
        for each in mended:
            told.out(str(each), highlight=False)
        told.out(f"check again: {check_again(recipe, mended, options.fix)}", highlight=False)
    return int(any(finding.severity == "error" for finding in findings))
