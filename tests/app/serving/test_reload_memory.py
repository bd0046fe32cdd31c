"""Reloads in a process of their own: memory and threads stay flat, whatever number of versions came and went."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.bundle import new_version, write_manifest
from tests.app.builders import make_manifest
from tests.support.server import REPOSITORY

MEGABYTES = 16  # of weights in each version
RELOADS = 12
SETTLED = 3  # reloads after which nothing may grow any more
CHILD = """
import asyncio, json, os, shutil, sys, time
from pathlib import Path
from app.runtime.memory import return_large_blocks
from app.service import Service
from app.settings import Settings

models, staged, measured = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
reloads, idle_threads = max(measured), json.loads(sys.argv[4])

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def threads():
    return len(os.listdir("/proc/self/task"))

async def settled(enough_mb):
    # Memory goes back a moment after the replaced model: the least of what is seen for a while.
    seen = []
    for _ in range(200):
        await asyncio.sleep(0.05)
        seen.append((resident_mb(), threads()))
        if len(seen) > 20 and seen[-1][0] < enough_mb:
            break
    return [min(each) for each in zip(*seen)]

async def main():
    found = []
    async with Service(Settings(models=models, device="cpu", runners=2, idle_threads=idle_threads)) as service:
        for version in range(2, reloads + 2):
            (staged / "toy" / str(version)).rename(models / "toy" / str(version))
            shutil.rmtree(models / "toy" / str(version - 1))
            await service.load()
            answer = await service.answer("classify", {"inputs": "a good film"})
            assert service.registry.find("classify", None).id == f"toy:{version}"
            if version - 1 in measured:
                found.append(await settled(found[0][0] + 16 if found else 1e9))
    print(json.dumps(found))

return_large_blocks()  # as every process of the command does
asyncio.run(main())
"""


def heavy_graph():
    """Two matrix products with large weights, packed, three labels."""
    tensor = helper.make_tensor_value_info
    width = MEGABYTES * 2**20 // 4 // 1000
    table = np.random.default_rng(0).normal(size=(1000, width)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
            helper.make_node("Gather", ["tokens", "head_rows"], ["chosen"]),
            helper.make_node("MatMul", ["chosen", "head"], ["logits"]),
        ],
        "heavy",
        [tensor("input_ids", TensorProto.INT64, ["T"]), tensor("head_rows", TensorProto.INT64, ["N"])],
        [tensor("logits", TensorProto.FLOAT, [None, None])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.ones((width, 3), np.float32), "head")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_versions(folder, tokenizer, count):
    graph = heavy_graph().SerializeToString()
    for _ in range(count):
        with new_version(folder, "toy") as (path, version):
            tokenizer.save(str(path / "tokenizer.json"))
            (path / "config.json").write_text('{"model_type": "roberta", "pad_token_id": 1}')
            (path / "model.fp32.onnx").write_bytes(graph)
            write_manifest(path, make_manifest(version=version))


@pytest.mark.parametrize("idle_threads", [1, 4])
def test_reloads_leave_memory_and_threads_flat(idle_threads, byte_level, tmp_path):
    models, staged = tmp_path / "models", tmp_path / "staged"
    write_versions(staged, byte_level, RELOADS + 1)
    (models / "toy").mkdir(parents=True)
    (staged / "toy" / "1").rename(models / "toy" / "1")
    arguments = [str(models), str(staged), json.dumps([SETTLED, RELOADS]), json.dumps(idle_threads)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    before, after = found
    assert after[1] <= before[1] + 3, found
    assert after[0] < before[0] + 7 * MEGABYTES, found  # nine versions would be 144 at least
