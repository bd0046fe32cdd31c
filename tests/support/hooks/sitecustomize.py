"""Run at the start of every process of a service under test, by its place on PYTHONPATH.

Holds the batches of a model while there is a file of its name in the folder GATES, and notes each there.
"""

import os
import time
from pathlib import Path

from app.engine.runner import Runner

GATES = Path(os.environ["GATES"])
process_at_once = Runner.process


def process(self, batch):
    gate = GATES / batch.lane.name
    if gate.exists():
        with gate.with_name(f"{gate.name}.entered").open("a") as entered:
            entered.write("x")
        while gate.exists():
            time.sleep(0.005)
    process_at_once(self, batch)


Runner.process = process
