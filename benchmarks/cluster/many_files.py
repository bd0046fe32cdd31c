"""Files that the cluster answers while one of its nodes is lost, compared with those that one process has answered."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.cluster.asking import wait
from benchmarks.cluster.nodes import ROOT, Nodes

WORDS = ("good", "bad", "film", "warm", "dull", "play")


def write_files(folder: Path, files: int, rows: int) -> None:
    """Write files of rows that take a moment each."""
    folder.mkdir()
    rng = random.Random(0)
    for number in range(files):
        lines = (f"{row},{' '.join(rng.choices(WORDS, k=rng.randint(3, 30)))}\n" for row in range(rows))
        (folder / f"{number}.csv").write_text("id,text\n" + "".join(lines))


def command(model: str, models: Path, source: Path, output: Path, *more: str) -> list[str]:
    flags = ["--models", str(models), "--device", "cpu", "--runners", "1", *more]
    return [sys.executable, "-m", "app", "predict", model, str(source), "-o", f"{output}/", *flags]


def lose_a_node(running: Nodes, model: str, models: Path, folder: Path, files: int, rows: int) -> dict[str, Any]:
    """Take the worker away once some files are answered, and return which outputs are others than without Ray."""
    source, here, there = folder / "in", folder / "here", folder / "there"
    write_files(source, files, rows)
    subprocess.run(command(model, models, source, here), cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    asked = command(model, models, source, there, "--ray", running.address)
    with subprocess.Popen(asked, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        wait(lambda: len(list(there.glob("*.csv"))) > files // 4 or process.poll() is not None)
        running.kill_worker()
        _, said = process.communicate(timeout=200)
    expected = {file.name: file.read_bytes() for file in here.glob("*.csv")}
    found = {file.name: file.read_bytes() for file in there.glob("*.csv")}
    wrong = sorted(name for name in expected if found.get(name) != expected[name])
    return {"files": files, "exit": process.returncode, "differs": wrong, "said": said.splitlines()[-1:]}
