"""The peer: FastAPI around a transformers pipeline, as tutorials write it, with its threads well chosen.

python -m benchmarks.peers.pipeline_server CHECKPOINT --port 8001 --torch-threads 2 --at-once 1
"""

from __future__ import annotations

import argparse
import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class ClassifyRequest(BaseModel):
    inputs: str


class LabelScore(BaseModel):
    label: str
    score: float


def create_app(checkpoint: str, at_once: int) -> FastAPI:
    """Build the server; `at_once` texts are classified at the same time, each on a thread of its own."""
    classify: Any = pipeline("text-classification", model=checkpoint, dtype=torch.float32)
    threads = ThreadPoolExecutor(at_once)
    app = FastAPI()

    @app.get("/health/ready")
    async def ready() -> None:
        """Answered once the pipeline is loaded."""

    @app.post("/classify")
    async def answer(request: ClassifyRequest) -> list[list[LabelScore]]:
        ranked = await asyncio.get_running_loop().run_in_executor(
            threads, partial(classify, request.inputs, top_k=None)
        )
        return [[LabelScore(**entry) for entry in ranked]]

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--torch-threads", type=int, default=2, help="threads of one forward pass")
    parser.add_argument("--at-once", type=int, default=1, help="forward passes at the same time")
    options = parser.parse_args()
    torch.set_num_threads(options.torch_threads)
    uvicorn.run(
        create_app(options.checkpoint, options.at_once),
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
