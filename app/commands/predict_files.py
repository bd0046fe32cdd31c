"""`roberta-serve predict MODEL INPUT... -o FOLDER/`: many files, each with an output of its own, here or on Ray."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from app.bulk.errors import BulkError
from app.bulk.job import Counting, Plan
from app.bulk.many import Asked, ManyFiles, Outcome, Pair, absolute
from app.bulk.progress import Progress
from app.commands.parsing import complain
from app.commands.predict_flags import options_of
from app.http_settings import HttpSettings
from app.settings import Settings

KEPT_HERE = {*HttpSettings.model_fields, "api_keys", "api_keys_file", "access"}
MOST_NAMED = 20  # files of which it is said why they have no output


def is_for_many(flags: Namespace) -> bool:
    """Whether each input has an output of its own: the output is a folder, or the files are for a cluster."""
    return flags.ray is not None or flags.output.endswith("/") or Path(flags.output).is_dir()


def predict_files(flags: Namespace, plan: Plan, settings: Settings) -> int:
    """Answer every file, and return the exit code."""
    asked = asked_of(flags, plan, settings)
    pairs = asked.pairs()
    progress = Progress(sys.stderr)
    outcomes = here(asked, pairs, progress) if flags.ray is None else elsewhere(asked, pairs, progress, flags.ray)
    with closing(outcomes):
        try:
            return end(list(outcomes), progress, asked.plan.file)
        except BaseException as error:
            progress.clear()
            if not isinstance(error, Exception):
                sys.stderr.write("interrupted: what is written is kept, and the same command goes on after it\n")
            raise


def asked_of(flags: Namespace, plan: Plan, settings: Settings) -> Asked:
    if plan.output is None or not plan.inputs:
        raise BulkError("files with outputs of their own need names: give files or folders, and -o FOLDER/")
    if plan.output.exists() and not plan.output.is_dir():
        raise BulkError(f"{plan.output} is no folder, which each file has its output in; name another with -o")
    for path in plan.inputs:
        if not path.exists():
            raise BulkError(f"{path}: there is no such file or folder")
    plan = replace(plan, inputs=[absolute(path) for path in plan.inputs], output=absolute(plan.output))
    model = str(absolute(Path(flags.model))) if Path(flags.model).is_dir() and "/" in flags.model else flags.model
    return Asked(model, told(settings), options_of(flags), plan, flags.strict, flags.restart)


def told(settings: Settings) -> Settings:
    """Return the settings that answering files takes: what only the service reads, its secrets too, stays here.

    They are made without the environment being read, which may hold secrets.
    """
    names = [name for name in Settings.model_fields if name not in KEPT_HERE]
    values = {name: getattr(settings, name) for name in names} | {"models": absolute(settings.models)}
    return Settings.model_construct(settings.model_fields_set.intersection(names), **values)


@dataclass(frozen=True)
class Within:
    """Progress within one of many files."""

    progress: Counting
    done: int
    files: int

    def add(self, rows: int, bad: int, share: float | None) -> None:
        self.progress.add(rows, bad, (self.done + (share or 0.0)) / self.files)


def here(asked: Asked, pairs: Sequence[Pair], progress: Progress) -> Generator[Outcome, None, None]:
    """Answer the files in this process, one after the other."""
    with ManyFiles(asked) as files:
        for number, pair in enumerate(pairs):
            yield files.predict(pair, Within(progress, number, len(pairs)))


def elsewhere(asked: Asked, pairs: Sequence[Pair], progress: Progress, address: str) -> Generator[Outcome, None, None]:
    """Have the machines of a Ray cluster answer them."""
    from app.cluster.files import predict_on_cluster  # Ray is optional

    with closing(predict_on_cluster(asked, pairs, address)) as outcomes:
        for number, outcome in enumerate(outcomes, start=1):
            if not outcome.was_there:
                progress.add(outcome.rows, outcome.bad, number / len(pairs))
            yield outcome


def end(outcomes: Sequence[Outcome], progress: Progress, folder: Path) -> int:
    """Say what was written and which files have no output, and return the exit code."""
    whole = [outcome for outcome in outcomes if outcome.problem is None]
    before = sum(outcome.was_there for outcome in whole)
    rows, bad = sum(outcome.rows for outcome in whole), sum(outcome.bad for outcome in whole)
    files = f"{len(whole):,} files" + (f", {before:,} of them by an earlier run" if before else "")
    errors = f"{bad:,} with an error" if bad else "none with an error"
    progress.end(f"{rows:,} rows in {files}, written to {folder}/, {errors}")
    failed = [outcome for outcome in outcomes if outcome.problem is not None]
    for outcome in failed[:MOST_NAMED]:
        complain(f"{outcome.source} has no output: {outcome.problem}")
    if len(failed) > MOST_NAMED:
        complain(f"{len(failed) - MOST_NAMED:,} more files have no output")
    if rows and bad == rows:
        complain("no row could be answered; the column of errors says why")
    return 1 if failed or (rows and bad == rows) else 0
