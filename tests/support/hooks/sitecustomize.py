"""Run at the start of every process of a service under test, by its place on PYTHONPATH.

The files of the folder GATES say what happens to the batches of a model:

    MODEL           while it is there, every batch waits; each is noted in MODEL.entered
    MODEL.slow      its number of milliseconds is added to each window of a forward pass
    MODEL.poison    a forward pass with a window that has the token of that id fails
    MODEL.memory    a forward pass of more than that many windows is out of memory
"""

import os
import time
from pathlib import Path

from app.engine.runner import Runner

GATES = Path(os.environ["GATES"])
process_at_once, compute_soundly = Runner.process, Runner._compute


def process(self, batch):
    gate = GATES / batch.lane.name
    if gate.exists():
        with gate.with_name(f"{gate.name}.entered").open("a") as entered:
            entered.write("x")
        while gate.exists():
            time.sleep(0.005)
    process_at_once(self, batch)


def compute(self, batch):
    name, windows = batch.lane.name, batch.windows
    if (delay_ms := number_in(GATES / f"{name}.slow")) is not None:
        time.sleep(delay_ms / 1000 * len(windows))
    if (token := number_in(GATES / f"{name}.poison")) is not None and any(token in w.input_ids for w in windows):
        raise RuntimeError("a message that quotes the text")
    if (most := number_in(GATES / f"{name}.memory")) is not None and len(windows) > most:
        raise MemoryError("bad allocation")
    return compute_soundly(self, batch)


def number_in(file):
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return None


Runner.process, Runner._compute = process, compute
