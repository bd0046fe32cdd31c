"""From files of rows to a file of rows with answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app import __version__
from app.bulk.errors import BulkError
from app.bulk.formats import Format, format_of, is_gzip
from app.bulk.predicting import Predictor
from app.bulk.reading import Dialect, TextReader
from app.bulk.resuming import Partial, Sink
from app.bulk.rows import START, Position, Reader, choose_columns
from app.bulk.tables import ParquetReader, ParquetWriter
from app.bulk.writing import Naming, Writer, text_writer
from app.bundle import Bundle
from app.bundle.files import sha256


class Counting(Protocol):
    """What is told of rows as they are written."""

    def add(self, rows: int, bad: int, share: float | None) -> None:
        """Count rows, so many of them bad; `share` is that of the input which was read."""
        ...


@dataclass(frozen=True)
class Plan:
    """What is read and written, and how. Standard input where `inputs` is empty, and standard output without `output`.

    Without `text_column` it is `text`, or the only one.
    """

    inputs: Sequence[Path]
    output: Path | None
    input_format: Format | None = None
    output_format: Format | None = None
    text_column: str | None = None
    pair_column: str | None = None
    prefix: str | None = None
    delimiter: str = ""
    encoding: str = "utf-8"

    @property
    def reads(self) -> Format:
        """Return the format of the inputs. Raises `BulkError` where it is not known, or there are several."""
        if self.input_format is not None:
            found = {self.input_format}
        elif not self.inputs:
            found = {"text"}
        else:
            found = {format_of(path, "--input-format") for path in self.inputs}
        if len(found) > 1:
            raise BulkError(f"the inputs are {' and '.join(sorted(found))}; give files of one format at a time")
        kind: Format = found.pop()
        if kind == "parquet" and not self.inputs:
            raise BulkError("Parquet cannot be read from standard input, which has no end to begin at; name a file")
        return kind

    @property
    def writes(self) -> Format:
        """Return the format of the output; on standard output it is that of the inputs where text can be."""
        if self.output_format is not None:
            kind = self.output_format
        elif self.output is not None:
            kind = format_of(self.output, "--output-format")
        else:
            kind = "jsonl" if self.reads in ("text", "parquet") else self.reads
        if kind == "text":
            raise BulkError("plain lines have no place for answers; write csv, tsv, jsonl or parquet")
        if kind == "parquet" and self.output is None:
            raise BulkError("Parquet cannot be written to standard output; name a file with -o")
        return kind

    @property
    def file(self) -> Path:
        """Return the output, where it is a file."""
        assert self.output is not None
        return self.output

    @property
    def is_resumable(self) -> bool:
        """Whether the output is a regular file, or will be one, and no stream or device."""
        return self.output is not None and (self.output.is_file() or not self.output.exists())

    def check(self) -> None:
        """Raise `BulkError` for files that are not there, and for an output that is an input."""
        for path in self.inputs:
            if not path.exists():
                raise BulkError(f"{path}: there is no such file")
            if not path.is_file():
                raise BulkError(f"{path} is no regular file; pipe its rows in, and name the input -")
            if self.output is not None and self.output.exists() and self.output.samefile(path):
                raise BulkError(f"{path} is input and output; name another output with -o")
        if self.output is not None and not self.output.absolute().parent.is_dir():
            raise BulkError(f"{self.output}: there is no folder {self.output.parent}")
        if self.output is not None and self.output.is_dir():
            raise BulkError(f"{self.output} is a folder; name a file with -o")


def open_reader(plan: Plan, fields: tuple[str, str] | None, *, needs_pair: bool = False) -> Reader:
    """Open the inputs. `fields` are those of a pair, where the task takes pairs, or takes nothing else.

    Raises `BulkError`.
    """
    reader: Reader
    if plan.reads == "parquet":
        reader = ParquetReader(plan.inputs, with_values=plan.writes != "parquet")
    else:
        reader = TextReader(plan.inputs, Dialect(plan.reads, plan.delimiter, plan.encoding))
    name = str(plan.inputs[0]) if plan.inputs else "standard input"
    try:
        reader.choice = choose_columns(
            name, reader.columns, plan.text_column, plan.pair_column, fields, needs_pair=needs_pair
        )
    except BulkError:
        reader.close()
        raise
    return reader


def open_writer(plan: Plan, reader: Reader, answers: Mapping[str, Any]) -> Writer:
    """Return what renders the output; `answers` are the columns of the task's answers. Raises `BulkError`."""
    naming = Naming(answers, reader.columns, plan.prefix)
    if plan.writes == "parquet":
        return ParquetWriter(reader.columns, naming, getattr(reader, "schema", None))
    return text_writer(
        plan.writes,
        reader.columns,
        naming,
        read_as=plan.reads,
        delimiter=getattr(reader, "delimiter", "") if plan.reads == "csv" else plan.delimiter,
        head=mark_of(reader) + head if (head := getattr(reader, "head", None)) is not None else None,
        compress=plan.output is not None and is_gzip(plan.output),
    )


def mark_of(reader: Reader) -> str:
    """Return the byte order mark with which a file began: without it, Excel would not read CSV as UTF-8."""
    return "\ufeff" if getattr(reader, "has_mark", False) else ""


def predict_rows(
    reader: Reader, writer: Writer, predictor: Predictor, sink: Sink, progress: Counting, start: Position = START
) -> None:
    """Predict the rows after `start`, and write them."""
    for chunk, predictions in predictor.run(reader.chunks(predictor.characters_in_chunk, start)):
        bad = sum(prediction.error is not None for prediction in predictions)
        sink.append(writer.render(chunk.rows, predictions), chunk.end, len(chunk.rows), bad)
        progress.add(len(chunk.rows), bad, reader.share)


def finish_file(
    plan: Plan, reader: Reader, writer: Writer, predictor: Predictor, partial: Partial, progress: Counting
) -> None:
    """Predict what is left of a file's rows, and put the output in its place once it is whole.

    Whatever ends this, the rows of every chunk that is whole are kept. Raises `BulkError` where an input has changed.
    """
    state = partial.state
    if not state.is_whole:
        before = [stamp_of(path) for path in plan.inputs]
        try:
            if state.size == 0:
                partial.append(writer.begin(), START, 0, 0)
            predict_rows(reader, writer, predictor, partial, progress, state.position)
        finally:
            with suppress(OSError):  # of a full disk: the state before is there
                partial.commit()
        if before != [stamp_of(path) for path in plan.inputs]:
            raise BulkError("an input changed while it was read; begin anew with --restart")
    partial.finish(writer.complete)


def stamp_of(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def identity(plan: Plan, model: str, predictor: Predictor, options: Mapping[str, Any]) -> dict[str, str]:
    """Return digests of all that an output depends on, to the last bit: the inputs, the model, and what is asked.

    `model` is what `model_digest` returns.
    """
    asked = {
        "options": dict(options),
        "formats": [plan.reads, plan.writes, plan.delimiter, plan.encoding, plan.prefix],
        "columns": [plan.text_column, plan.pair_column],
        "compressed": plan.output is not None and is_gzip(plan.output),
        "limits": predictor.limits,
        "version": __version__,
    }
    return {
        "input": digest_of([sha256(path) for path in plan.inputs]),
        "model": model,
        "parameters": digest_of(asked),
    }


def model_digest(bundle: Bundle, predictor: Predictor, threads: int) -> str:
    """Return a digest of the model's files and of how they are computed."""
    session = predictor.session
    files = [bundle.graph_file(session.precision), bundle.tokenizer_file, bundle.path / "config.json"]
    computed = [session.provider, session.precision, session.max_batch_tokens, threads]
    return digest_of([bundle.manifest.model_dump_json(), *computed, *(sha256(file) for file in files)])


def digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
