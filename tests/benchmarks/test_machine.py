"""CPU time of a server is that of all its processes, and none of them is left behind."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.machine import process_cpu_s, processes
from benchmarks.serving.servers import end_session

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "x = sum(range(10**7)); print(flush=True); input()"])
input()
"""


def test_children_count_and_are_not_left_behind():
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    process.stdout.readline()  # the child has computed
    mine = {found.pid: found for found in processes() if found.session == process.pid}
    assert len(mine) == 2
    assert process_cpu_s(process.pid) >= sum(found.cpu_s for found in mine.values())
    process.kill()
    process.wait()
    assert end_session(process.pid, patience_s=0) == 1
    process.stdin.close()
    process.stdout.close()  # after the last writer has gone
