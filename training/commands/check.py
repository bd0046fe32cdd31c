"""`roberta-train check`: what is wrong with the data of a recipe, and how to mend it."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from dataclasses import asdict

from rich.console import Console

from training.checking import check, show
from training.checking.mending import mend
from training.commands.arguments import recipe_of


def run(options: Namespace) -> int:
    """Print the findings, and write the mended splits where that is asked; return 1 when there are errors, else 0."""
    recipe = recipe_of(options)
    findings = check(recipe, options.data)
    console = Console()
    if options.json:
        console.out(json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False))
    else:
        show(findings, console)
    if options.fix is not None:
        told = Console(stderr=True)
        written = mend(recipe, options.data, options.fix)
        for mended in written:
            told.out(str(mended))
        splits = [word for mended in written for word in (f"--{mended.split}", mended.file.name)]
        again = ["roberta-train", "check", "--task", recipe.task, *splits, "--data", str(options.fix)]
        told.out(f"check again: {shlex.join(again)}")
    return int(any(finding.severity == "error" for finding in findings))
