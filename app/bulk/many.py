"""Many files, each with an output of its own: which output is whose, and how a file is answered once and for all.

The output of a file appears when it is whole. Beside the outputs, `.finished/` has a note for each: what was asked, and
how many rows there are. A file with a note that agrees is not answered again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pydantic import ValidationError

from app.bulk.asking import Asking
from app.bulk.errors import BulkError
from app.bulk.finding import bundle_here, check_name, find_bundle
from app.bulk.formats import GZIP, SUFFIXES, Format, is_gzip
from app.bulk.job import Counting, Plan, finish_file, identity, model_digest, open_reader, open_writer
from app.bulk.opening import open_predictor
from app.bulk.resuming import Partial, State, restart
from app.bundle import replace_file
from app.settings import Settings
from app.tasks import open_task, task_named

FINISHED = ".finished"


class Pair(NamedTuple):
    """A file, and where its output belongs."""

    source: Path
    output: Path


@dataclass(frozen=True)
class Asked:
    """What is asked of each file. The inputs of `plan` are files and folders, its output is a folder."""

    model: str
    settings: Settings
    options: Mapping[str, Any]
    plan: Plan
    is_strict: bool = False
    is_anew: bool = False  # whatever was finished before

    def check(self) -> None:
        """Raise `BundleError` where there is no such model, `InvalidRequestError` where its task has no such option.

        Nothing is fetched: of a model that is not here, only its name is looked at.
        """
        bundle = bundle_here(self.model, self.settings)
        if bundle is None:
            check_name(self.model)
        else:
            Asking(open_task(bundle, next(iter(bundle.manifest.graphs))), self.options)

    def pairs(self) -> list[Pair]:
        """Return the files, those in folders included, with their outputs. Raises `BulkError`."""
        found: dict[Path, Path] = {}
        for source, within in files_of(self.plan.inputs, self.plan.file):
            output = self.plan.file / self._renamed(source, within)
            if output in found:
                raise BulkError(f"{found[output]} and {source} would both be {output}; name the folder of both instead")
            found[output] = source
        return [Pair(source, output) for output, source in found.items()]

    def _renamed(self, source: Path, within: Path) -> Path:
        """Return the name of an output: that of the input, with another end where the format is another."""
        plan = replace(self.plan, inputs=[source], output=None)
        kind: Format = self.plan.output_format or ("jsonl" if plan.reads == "text" else plan.reads)
        bare = within.with_suffix("") if is_gzip(source) else within
        end = GZIP if is_gzip(source) and kind != "parquet" else ""
        kept = bare if SUFFIXES.get(bare.suffix.lower()) == kind else bare.with_suffix(f".{kind}")
        return kept.with_name(kept.name + end)


def files_of(inputs: Sequence[Path], outputs: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file with the path that its output has within the folder of outputs.

    Of a folder these are the files in it whose names say a format; hidden ones are left out, and those of a folder of
    outputs in it, which are an earlier run's.
    """
    for path in inputs:
        if not path.is_dir():
            yield path, Path(path.name)
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and is_readable(file, path)]
        inside = [file for file in inside if path == outputs or outputs not in file.parents]
        if not inside:
            raise BulkError(f"{path}: there is no file in it whose name says that it is {', '.join(SUFFIXES)}")
        yield from ((file, file.relative_to(path)) for file in inside)


def is_readable(file: Path, folder: Path) -> bool:
    suffix = (Path(file.stem) if is_gzip(file) else file).suffix.lower()
    return suffix in SUFFIXES and not any(part.startswith(".") for part in file.relative_to(folder).parts)


class Outcome(NamedTuple):
    """What became of a file. `problem` is why it has no output; `was_there` says that an earlier run had made it."""

    source: str
    rows: int
    bad: int
    was_there: bool
    problem: str | None


class ManyFiles:
    """Answers files by one model, one after the other; to be used in a `with` block. Raises as `open_predictor` does.

    Several of them, on several machines, may work on files of one folder.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._bundle = find_bundle(asked.model, asked.settings)
        task = task_named(self._bundle.manifest.task)
        self._fields, self._needs_pair = task.pair, task.needs_pair
        self._predictor = open_predictor(self._bundle, asked.settings, asked.options, is_strict=asked.is_strict)
        self._model = model_digest(self._bundle, self._predictor, asked.settings.intra_op_threads)

    def __enter__(self) -> Self:
        self._predictor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._predictor.__exit__(kind, error, trace)

    def predict(self, pair: Pair, progress: Counting) -> Outcome:
        """Answer a file, or go on with it, unless that was done before. What is wrong with it is in the outcome."""
        try:
            state, was_there = self._finish(pair, progress)
        except BulkError as error:
            return Outcome(str(pair.source), 0, 0, False, str(error))
        except OSError as error:
            return Outcome(str(pair.source), 0, 0, False, f"{error.filename or pair.source}: {error.strerror or error}")
        return Outcome(str(pair.source), state.rows, state.bad, was_there, None)

    def _finish(self, pair: Pair, progress: Counting) -> tuple[State, bool]:
        plan = replace(self._asked.plan, inputs=[pair.source], output=pair.output)
        pair.output.parent.mkdir(parents=True, exist_ok=True)
        plan.check()
        asked = identity(plan, self._model, self._predictor, self._asked.options)
        if self._asked.is_anew:
            note_of(pair.output).unlink(missing_ok=True)
            restart(pair.output)
        elif (done := read_note(pair.output, asked)) is not None:
            return done, True
        with (
            closing(open_reader(plan, self._fields, needs_pair=self._needs_pair)) as reader,
            Partial(pair.output, asked) as partial,
        ):
            writer = open_writer(plan, reader, self._predictor.asking.columns)
            finish_file(plan, reader, writer, self._predictor, partial, progress)
            write_note(pair.output, partial.state)
            return partial.state, False


def note_of(output: Path) -> Path:
    return output.parent / FINISHED / f"{output.name}.json"


def write_note(output: Path, state: State) -> None:
    note_of(output).parent.mkdir(exist_ok=True)
    replace_file(note_of(output), state.model_dump_json())


def read_note(output: Path, asked: Mapping[str, str]) -> State | None:
    """Return what was written of an output that is there; None where it is to be made.

    Raises `BulkError` where it was made of something else than `asked`.
    """
    try:
        state = State.model_validate_json(note_of(output).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    if not output.exists():
        return None
    if state.asked != asked:
        changed = [name for name in asked if state.asked.get(name) != asked[name]]
        what = " and ".join(changed) or "settings"
        raise BulkError(f"{output} was made with another {what}; name another folder, or add --restart")
    return state


def absolute(path: Path) -> Path:
    """Return a path as another process on another machine must be told it, symbolic links as they are."""
    return Path.cwd() / path
