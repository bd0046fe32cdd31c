"""Every query that is deployed, asked."""

from __future__ import annotations

from tests.watch.definitions import Query
from tests.watch.programs import Prometheus

INTERVAL = "2s"
GPU = "roberta_gpu_"  # series that are there where there is a GPU


def queries_without_data(prometheus: Prometheus, queries: list[Query]) -> list[str]:
    """Return where queries stand that gave nothing at any moment; those of GPUs may."""
    return [each.where for each in queries if GPU not in each.expr and not prometheus.series(each, INTERVAL)]
