"""Rows of tables: JSON lines, CSV, TSV, Parquet, and datasets of the Hub."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config import DataConfig
from training.data.errors import DataError, Refuse, stop
from training.data.files import lines, opened
from training.data.sources import HubSplit, Source

QUOTED = re.compile(r'"(?:[^"]|"")*"')
LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 131,072


@dataclass(frozen=True)
class Row:
    """One row: `where` is FILE:LINE, or FILE:ROW of Parquet and Hub data."""

    where: str
    values: Mapping[str, object]


def rows(source: Source, data: DataConfig, refuse: Refuse = stop) -> Iterator[Row]:
    """Yield the rows of a table; refuses those that cannot be parsed.

    Raises `DataError` when the source cannot be read at all, or is no table.
    """
    if isinstance(source, HubSplit):
        return hub_rows(source)
    readers = {"jsonl": json_rows, "csv": csv_rows, "tsv": tsv_rows, "parquet": parquet_rows}
    kind = data.format_of(source)
    if kind not in readers:
        raise DataError(f"{source}: a table is needed, {', '.join(readers)}, not {kind}; see data.format")
    return readers[kind](source, refuse)


def json_rows(path: Path, refuse: Refuse) -> Iterator[Row]:
    for number, line in enumerate(lines(path, refuse), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if "\\u" in line:
                json.dumps(values, ensure_ascii=False).encode()  # raises where half of a surrogate pair is escaped
        except (ValueError, RecursionError) as error:
            refuse(DataError(f"{path}:{number}: not valid JSON: {error}; put one whole object on each line"))
            continue
        if isinstance(values, dict):
            yield Row(f"{path}:{number}", values)
        else:
            refuse(
                DataError(
                    f"{path}:{number}: expected a JSON object, found {type(values).__name__}; put one on each line"
                )
            )


def csv_rows(path: Path, refuse: Refuse) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(lines(path, refuse), strict=True)
    header: list[str] = []
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refuse(DataError(f"{path}:{reader.line_num}: not valid CSV: {error}; quote cells as RFC 4180 says"))
            continue
        if not header:
            header = cells
        elif cells:
            yield from table_row(f"{path}:{reader.line_num}", header, cells, refuse)


def tsv_rows(path: Path, refuse: Refuse) -> Iterator[Row]:
    """Yield rows of tab-separated values: a quotation mark is text, unless a pair of them encloses a cell."""
    header: list[str] = []
    for number, line in enumerate(lines(path, refuse), start=1):
        if not line.strip():
            continue
        cells = [unquoted(cell) for cell in line.rstrip("\r\n").split("\t")]
        if header:
            yield from table_row(f"{path}:{number}", header, cells, refuse)
        else:
            header = cells


def unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if QUOTED.fullmatch(cell) else cell


def table_row(where: str, header: list[str], cells: list[str], refuse: Refuse) -> Iterator[Row]:
    if len(cells) == len(header):
        yield Row(where, dict(zip(header, cells, strict=True)))
    else:
        counts = f"{len(cells)} cells under {len(header)} column names"
        refuse(DataError(f"{where}: {counts}; quote a cell that contains the separator"))


def parquet_rows(path: Path, refuse: Refuse) -> Iterator[Row]:
    import pyarrow as pa
    from datasets import Features
    from pyarrow import parquet

    with opened(path) as file:
        try:
            table = parquet.ParquetFile(pa.BufferReader(file.read()) if path.suffix == ".gz" else file)
            features = Features.from_arrow_schema(table.schema_arrow)
            values = (row for batch in table.iter_batches() for row in batch.to_pylist())
            for number, row in enumerate(values, start=1):
                yield Row(f"{path}:{number}", named(row, features))
        except (pa.ArrowException, ValueError, OSError) as error:
            raise DataError(
                f"{path}: not valid Parquet: {str(error).splitlines()[0].rstrip('.')}; write it again"
            ) from error


def hub_rows(source: HubSplit) -> Iterator[Row]:
    from datasets import load_dataset

    try:
        table = load_dataset(source.dataset, source.subset, split=source.split)
    except Exception as error:  # the Hub's client, the file system and every reader have errors of their own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{source}: the dataset cannot be loaded: {reason[0].rstrip('.')}") from error
    for number, row in enumerate(table, start=1):
        yield Row(f"{source}:{number}", named(row, table.features))


def named(row: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, object]:
    """Replace the numbers of classes by their names, where the features know these; -1 stands for none."""
    return {column: name(value, features[column]) for column, value in row.items()}


def name(value: Any, feature: Any) -> object:
    if isinstance(value, list):
        return [name(each, getattr(feature, "feature", None)) for each in value]
    names = getattr(feature, "names", None)
    if names is None or value is None:
        return value
    return None if value < 0 else names[value]
