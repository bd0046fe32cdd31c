"""Parquet tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.errors import said_by
from training.config import DataConfig
from training.data.class_names import named
from training.data.errors import DataError, Refuse
from training.data.files import opened
from training.data.formats.base import Head, Row, Table

MAGIC = b"PAR1"


class Parquet(Table):
    name = "parquet"
    is_utf8 = True

    def recognizes(self, head: Head) -> bool:
        return head.raw.startswith(MAGIC)

    def dialect(self, path: Path, data: DataConfig) -> list[str]:
        return []

    def rows(self, path: Path, data: DataConfig, refuse: Refuse) -> Iterator[Row]:
        import pyarrow as pa
        from datasets import Features
        from pyarrow import parquet

        with opened(path) as file:
            try:
                is_packed = path.suffix.lower() == ".gz"
                table = parquet.ParquetFile(pa.BufferReader(file.read()) if is_packed else file)
                features = Features.from_arrow_schema(table.schema_arrow)
                values = (row for batch in table.iter_batches() for row in batch.to_pylist())
                for number, row in enumerate(values, start=1):
                    yield Row(f"{path}:{number}", named(row, features))
            except (pa.ArrowException, ValueError, OSError) as error:
                raise DataError(f"{path}: not valid Parquet: {said_by(error)}; write it again") from error
