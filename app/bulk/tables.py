"""Parquet: read row group by row group, and written from a stream of record batches once all rows are there.

Parquet has its directory at the end, so a file that was cut short cannot be gone on with. Rows are therefore collected
in Arrow's streaming format, which is a row of messages.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from typing_extensions import is_typeddict

from app.bulk.errors import BulkError
from app.bulk.inputs import Prediction
from app.bulk.rows import START, Position, Reader, Row
from app.bulk.writing import Naming, Writer, cell_text, json_text
from app.errors import said_by

ROWS_READ = 1024  # in one batch
GROUP_ROWS, GROUP_BYTES = 2**16, 2**26  # of a row group that is written
COMPLETE = "rows.parquet"


def arrow() -> Any:
    """Return pyarrow. Raises `BulkError` where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise BulkError(
            "Parquet needs pyarrow: install the extra `parquet`, in the clone: pip install -e '.[parquet]'"
        ) from error
    return pyarrow


class ParquetReader(Reader):
    """The rows of Parquet files of one schema; `with_values` where they are needed as Python's objects."""

    def __init__(self, paths: Sequence[Path], *, with_values: bool) -> None:
        self._paths, self._with_values = paths, with_values
        self._files = [self._open(path) for path in paths]
        self.schema = self._files[0].schema_arrow
        self.columns = tuple(self.schema.names)
        for path, file in zip(paths, self._files, strict=True):
            if not file.schema_arrow.equals(self.schema):
                raise BulkError(f"{path}: its columns are not those of {paths[0]}; give files of the same columns")
        self._counts: list[int] = [file.metadata.num_rows for file in self._files]
        self._position = START

    def rows(self, start: Position = START) -> Iterator[Row]:
        skipped = start.offset
        for file in range(start.file, len(self._paths)):
            yield from self._rows_of(file, skipped)
            skipped = 0

    @property
    def position(self) -> Position:
        return self._position

    @property
    def share(self) -> float | None:
        read = sum(self._counts[: self._position.file]) + self._position.offset
        return read / max(1, sum(self._counts))

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _rows_of(self, number: int, skipped: int) -> Iterator[Row]:
        path, file = self._paths[number], self._files[number]
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if first + rows > skipped:
                try:
                    for batch in file.iter_batches(ROWS_READ, row_groups=[group]):
                        for row in self._rows_in(batch, first, skipped):
                            self._position = Position(number, first + row.index + 1, first + row.index + 1)
                            yield row
                        first += batch.num_rows
                except (arrow().ArrowException, OSError) as error:
                    raise unreadable(path, error) from error
            else:
                first += rows

    def _rows_in(self, batch: Any, first: int, skipped: int) -> Iterator[Row]:
        """Yield the rows of a batch, which begins with row `first`, without the rows to be skipped."""
        chosen = [name for name in (self.choice.text, self.choice.pair) if name is not None]
        values = (batch if self._with_values else batch.select(chosen)).to_pylist()
        for index in range(max(0, skipped - first), batch.num_rows):
            yield Row(self.choice.given(values[index]), values[index], batch=batch, index=index)

    def _open(self, path: Path) -> Any:
        try:
            return arrow().parquet.ParquetFile(path)
        except (arrow().ArrowException, OSError) as error:
            raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> BulkError:
    return BulkError(f"{path}: not valid Parquet: {said_by(error)}; write it again")


class ParquetWriter(Writer):
    """Rows of Parquet with the columns and types that were read; of other formats, with columns of text."""

    def __init__(self, columns: Sequence[str], naming: Naming, schema: Any = None) -> None:
        pa = arrow()
        if len(set(columns)) < len(columns):
            raise BulkError("two columns have one name; rename one, or write the format that is read")
        self.columns, self.naming = tuple(columns), naming
        self._own = pa.schema([pa.field(name, pa.string()) for name in columns]) if schema is None else schema
        self._is_arrow = schema is not None
        types = {**{name: arrow_type(kind) for name, kind in naming.types.items()}, naming.error: pa.string()}
        fields = [pa.field(name, kind) for name, kind in types.items()]
        self._answers = pa.schema(fields)
        self.schema = pa.schema([*self._own, *fields], metadata=self._own.metadata)
        # Messages of dictionaries depend on earlier ones: their values stand in the stream as they are.
        self._plain = pa.schema([plain(field) for field in self.schema])

    def begin(self) -> bytes:
        return bytes(self._plain.serialize())

    def render(self, rows: Sequence[Row], predictions: Sequence[Prediction]) -> bytes:
        pa = arrow()
        own = self._own_columns(rows, predictions)
        cells = [self.naming.cells(prediction) for prediction in predictions]
        answers = [
            pa.array([as_arrow(cell[field.name], self.naming.types.get(field.name)) for cell in cells], field.type)
            for field in self._answers
        ]
        table = pa.table([*own, *answers], schema=self.schema).cast(self._plain).combine_chunks()
        return b"".join(bytes(batch.serialize()) for batch in table.to_batches())

    def _own_columns(self, rows: Sequence[Row], predictions: Sequence[Prediction]) -> list[Any]:
        pa = arrow()
        if not self._is_arrow:
            return [pa.array([text_of(row.values.get(name)) for row in rows], pa.string()) for name in self.columns]
        slices, first = [], 0
        for last, row in enumerate(rows, start=1):
            if last == len(rows) or rows[last].batch is not row.batch:
                slices.append(row.batch.slice(rows[first].index, last - first))
                first = last
        columns: list[Any] = pa.Table.from_batches(slices).columns
        return columns

    def complete(self, rows: Path) -> Path:
        """Write the record batches that were collected as row groups of about one size."""
        pa = arrow()
        path = rows.with_name(COMPLETE)
        with pa.OSFile(str(rows)) as source, pa.parquet.ParquetWriter(path, self.schema) as sink:
            batches: list[Any] = []
            for batch in pa.ipc.open_stream(source):
                batches.append(batch)
                size = sum(each.nbytes for each in batches)
                if size >= GROUP_BYTES or sum(each.num_rows for each in batches) >= GROUP_ROWS:
                    sink.write_table(pa.Table.from_batches(batches).cast(self.schema))
                    batches = []
            if batches:
                sink.write_table(pa.Table.from_batches(batches).cast(self.schema))
        return path


def plain(field: Any) -> Any:
    """Return a field whose values stand for themselves where they are numbers of a dictionary."""
    return field.with_type(field.type.value_type) if arrow().types.is_dictionary(field.type) else field


def text_of(value: Any) -> str | None:
    return None if value is None else cell_text(value)


def as_arrow(value: Any, kind: Any) -> Any:
    """Return a value for a column: as JSON where its type is not known."""
    return json_text(value) if kind is Any and value is not None else value


def arrow_type(kind: Any) -> Any:
    """Return Arrow's type for the type of an answer's column: JSON as text where it may be anything."""
    pa = arrow()
    simple = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_(), Any: pa.string()}
    if kind in simple:
        return simple[kind]
    if is_typeddict(kind):
        fields: Mapping[str, Any] = typing.get_type_hints(kind)
        return pa.struct([pa.field(name, arrow_type(each)) for name, each in fields.items()])
    arguments = [each for each in typing.get_args(kind) if each is not NoneType]
    if typing.get_origin(kind) is list:
        return pa.list_(arrow_type(arguments[0]))
    if len(arguments) == 1:
        return arrow_type(arguments[0])
    raise TypeError(f"no column of a table has the type {kind}")
