"""Starting the command for a scenario, and ending what is left of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from tests.chaos.stage import Stage
from tests.chaos.tally import Tally
from tests.support.server import HOOKS, REPOSITORY, SHAPES, WORKERS, command, until


@contextmanager
def staged(
    shape: str,
    models: Path,
    folder: Path,
    tally: Tally,
    seconds: float,
    settings: Mapping[str, str] = MappingProxyType({}),
    prefix: Sequence[str] = (),
) -> Iterator[Stage]:
    """Start the command in a shape, and return the stage once it is ready; `settings` by their variables' names.

    A `{folder}` in the command's `prefix` or in a setting stands for the scenario's own folder.
    """
    gates = folder / "gates"
    gates.mkdir(parents=True)
    program = [each.replace("{folder}", str(folder)) for each in prefix]
    program += [sys.executable, "-X", "faulthandler", "-m", "app"]
    chosen = {name: value.replace("{folder}", str(folder)) for name, value in settings.items()}
    variables = {"PYTHONPATH": f"{HOOKS}:{REPOSITORY}", "GATES": str(gates), **chosen}
    if shape == SHAPES[1]:
        variables = {"ROBERTA_HTTP_WORKERS": str(WORKERS)} | variables
    with command(models, folder / "log", program=program, variables=variables) as service:
        stage = Stage(service, shape, models, folder, tally, seconds)
        if stage.is_several:
            until(lambda: service.log().count('"models_served"') >= WORKERS)
        try:
            yield stage
        finally:
            end(stage)


def end(stage: Stage) -> None:
    """End whatever a scenario has left of the service, stopped processes too."""
    for pid in reversed(stage.pids()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGKILL)
