"""Files that are answered by every machine of a Ray cluster, through Ray Data: one process with the model on each."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.bulk.errors import BulkError
from app.bulk.many import Asked, ManyFiles, Outcome, Pair
from app.bundle import BundleError
from app.errors import InvalidRequestError, said_by
from app.runtime.session import SessionError

SOURCE, OUTPUT = "source", "output"
REFUSAL, IS_OPTION = "refusal", "is_option"  # why no file can be answered, and whether an option is to blame
VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "error"}  # which Ray reads when it is imported
LOCAL = "local"  # an address: a cluster of this machine alone, for as long as the command runs


class NoProgress:
    """Progress is shown where the outcomes of files are counted."""

    def add(self, rows: int, bad: int, share: float | None) -> None: ...


class Worker:
    """An actor of Ray Data, which is given a file at a time.

    Where it cannot answer any, it says so of each: an error of an actor would reach the command as Ray's own.
    """

    def __init__(self, asked: Asked) -> None:
        self._refusal, self._is_option = "", False
        try:
            self._files = ManyFiles(asked).__enter__()
        except (BulkError, BundleError, SessionError, InvalidRequestError) as error:
            self._refusal, self._is_option = str(error), isinstance(error, InvalidRequestError)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        (source,), (output,) = batch[SOURCE], batch[OUTPUT]
        outcome = Outcome(str(source), 0, 0, False, self._refusal)
        if not self._refusal:
            outcome = self._files.predict(Pair(Path(str(source)), Path(str(output))), NoProgress())
        row = {**outcome._asdict(), REFUSAL: self._refusal, IS_OPTION: self._is_option}
        return {name: [value] for name, value in row.items()}


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    """Return what a worker says of a file. Raises `InvalidRequestError` or `BulkError` where it can answer none."""
    if row[REFUSAL]:
        raise InvalidRequestError(row[REFUSAL]) if row[IS_OPTION] else BulkError(row[REFUSAL])
    return Outcome(**{name: row[name] for name in Outcome._fields})


def predict_on_cluster(asked: Asked, pairs: Sequence[Pair], address: str) -> Generator[Outcome, None, None]:
    """Yield what became of each file, as they are finished.

    All machines read and write the same paths. If a machine is lost, another one continues its file. Raises `BulkError`
    where there is no such cluster, where it fails, or where it finds no such model, and `InvalidRequestError` for an
    option that the task does not take. What can be said here is said before a cluster is asked: see `Asked.check`.
    """
    asked.check()
    with connected(address) as ray:
        cores, machines = cores_and_machines(ray.nodes())
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
        try:
            yield from map(outcome_of, answered.iter_rows())
        except ray.exceptions.RayError as error:
            raise BulkError(failure(error)) from error


def failure(error: Exception) -> str:
    """Return an error of Ray in one sentence; of a traceback its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return f"the Ray cluster failed: {lines[-1].rstrip('.')}; `ray logs` has more, the same command goes on"


def cores_and_machines(nodes: Sequence[dict[str, Any]]) -> tuple[float, int]:
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
        options = {"include_dashboard": False} if address == LOCAL else {}
        ray.init(address=address, log_to_driver=False, configure_logging=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BulkError(
            f"--ray {address}: {said_by(error)}; start a cluster with `ray start --head`, or say {LOCAL}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
