"""Files that are answered by every machine of a Ray cluster, through Ray Data: one process with the model on each."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.bulk.errors import BulkError
from app.bulk.many import Asked, ManyFiles, Outcome, Pair

SOURCE, OUTPUT = "source", "output"
VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "error"}  # which Ray reads when it is imported
HERE = "local"  # an address: a cluster of this machine alone, for as long as the command runs


class Silent:
    """Progress is shown where the outcomes of files are counted."""

    def add(self, rows: int, bad: int, share: float | None) -> None: ...


class Worker:
    """An actor of Ray Data, which is given a file at a time."""

    def __init__(self, asked: Asked) -> None:
        self._files = ManyFiles(asked).__enter__()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        (source,), (output,) = batch[SOURCE], batch[OUTPUT]
        outcome = self._files.predict(Pair(Path(str(source)), Path(str(output))), Silent())
        return {name: [value] for name, value in outcome._asdict().items()}


def predict_on_cluster(asked: Asked, pairs: Sequence[Pair], address: str) -> Generator[Outcome, None, None]:
    """Yield what became of each file, as they are finished. Raises `BulkError` where there is no such cluster.

    All machines read and write the same paths. A file whose machine is lost is gone on with on another one.
    """
    with connected(address) as ray:
        cores, machines = room_of(ray.nodes())
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # which Ray has set when it was imported
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = False
        rows = [{SOURCE: str(pair.source), OUTPUT: str(pair.output)} for pair in pairs]
        answered = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Worker,
            fn_constructor_args=(asked,),
            batch_size=1,
            num_cpus=cores,
            compute=ray.data.ActorPoolStrategy(size=min(machines, len(rows)), max_tasks_in_flight_per_actor=1),
        )
        for row in answered.iter_rows():
            yield Outcome(**{name: row[name] for name in Outcome._fields})


def room_of(nodes: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """Return how many cores an actor takes so that each machine has room for one, and how many machines have cores.

    A machine that has several times the cores of the smallest one has room for several actors.
    """
    cores = [node["Resources"].get("CPU", 0.0) for node in nodes if node["Alive"]]
    cores = [count for count in cores if count]
    if not cores:
        raise BulkError("the Ray cluster has no machine with a core to spare; start one with --num-cpus")
    return min(cores), len(cores)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster, and leave it in the end. Raises `BulkError` where Ray or the cluster is not there."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise BulkError("--ray needs Ray: install the extra `ray`, in the clone: pip install -e '.[ray]'") from error
    try:
        options = {"include_dashboard": False} if address == HERE else {}
        ray.init(address=address, log_to_driver=False, configure_logging=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise BulkError(f"--ray {address}: {reason}; start a cluster with `ray start --head`, or say {HERE}") from error
    try:
        yield ray
    finally:
        ray.shutdown()
