"""Formats of files, by the ends of their names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from app.bulk.errors import BulkError

Format = Literal["csv", "tsv", "jsonl", "parquet", "text"]

FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
}
GZIP = ".gz"


def is_gzip(path: Path) -> bool:
    return path.suffix.lower() == GZIP


def format_of(path: Path, flag: str) -> Format:
    """Return a file's format. Raises `BulkError`, naming the flag that says it, where the name does not."""
    suffix = (Path(path.stem) if is_gzip(path) else path).suffix.lower()
    found = SUFFIXES.get(suffix)
    if found is None:
        known = ", ".join(each for each in FORMATS if each != "text" or flag == "--input-format")
        raise BulkError(f"{path}: the name does not say the format; add {flag} with one of {known}")
    if found == "parquet" and is_gzip(path):
        raise BulkError(f"{path}: Parquet is compressed inside; unpack the file, or leave .gz out of the name")
    return found
