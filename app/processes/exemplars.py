"""Exemplars of several processes: each writes the last of each bucket to a file; `/metrics` shows the newest.

The files that metrics are counted in have no place for them. Source: prometheus_client, `MmapedValue.set_exemplar`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.samples import Exemplar

END = ".exemplars"  # of the names of the files

Place = tuple[str, frozenset[tuple[str, str]]]  # a sample: its name and its labels


class Exemplars:
    """Those of this process. They are written at an interval, because each request that is traced brings one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: dict[str, Exemplar] = {}  # by prometheus_client's key of a sample
        self._is_new = False

    def keep(self, key: str, exemplar: Exemplar) -> None:
        """Keep an exemplar in place of the one before."""
        self._kept[key] = exemplar
        self._is_new = True

    def write(self) -> None:
        """Write what is kept, if any of it is new. Where the disk is full it is not shown, as metrics are not."""
        if not self._is_new:
            return
        self._is_new = False
        whole = self._file.with_suffix(".new")
        with suppress(OSError):
            whole.write_text(json.dumps(dict(self._kept)))
            whole.replace(self._file)


def with_exemplars(kind: type[Any], exemplars: Exemplars) -> type[Any]:
    """Return prometheus_client's class of values in files, such that it keeps exemplars."""

    def set_exemplar(self: Any, exemplar: Exemplar) -> None:
        exemplars.keep(self._key, exemplar)

    return type(kind.__name__, (kind,), {"set_exemplar": set_exemplar})


def read_exemplars(folder: Path) -> dict[Place, Exemplar]:
    """Return the newest exemplar of each sample that any process has one of."""
    found: dict[Place, Exemplar] = {}
    for file in folder.glob(f"*{END}"):
        for place, exemplar in those_in(file):
            if place not in found or moment(found[place]) < moment(exemplar):
                found[place] = exemplar
    return found


def moment(exemplar: Exemplar) -> float:
    return float(exemplar.timestamp or 0.0)


def those_in(file: Path) -> Iterator[tuple[Place, Exemplar]]:
    with suppress(OSError):
        for key, (labels, value, timestamp) in json.loads(file.read_bytes()).items():
            _, name, labels_of_sample, _ = json.loads(key)
            yield (name, frozenset(labels_of_sample.items())), Exemplar(labels, value, timestamp)


def show(family: Metric, exemplars: Mapping[Place, Exemplar]) -> None:
    """Add exemplars to the samples of a family that they belong to."""
    family.samples = [
        sample._replace(exemplar=exemplars.get((sample.name, frozenset(sample.labels.items()))))
        for sample in family.samples
    ]
