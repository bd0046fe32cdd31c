"""The peer of the other tasks: FastAPI around transformers' `fill-mask` or `token-classification` pipeline.

python -m benchmarks.peers.task_pipeline_server fill-mask CHECKPOINT --port 8001 --torch-threads 2 --at-once 1
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
from transformers.utils.logging import disable_progress_bar

# Each route's pipeline and what it is called with: our defaults.
PIPELINES: dict[str, tuple[str, dict[str, Any]]] = {
    "fill-mask": ("fill-mask", {"top_k": 5}),
    "ner": ("token-classification", {"aggregation_strategy": "simple"}),
}


class TextRequest(BaseModel):
    inputs: str


class Candidate(BaseModel):
    score: float
    token: int
    token_str: str
    sequence: str


class Entity(BaseModel):
    entity_group: str
    score: float
    word: str
    start: int
    end: int


def make_pipeline(route: str, checkpoint: str) -> Any:
    """Return a callable: text in, the pipeline's answer out."""
    task, parameters = PIPELINES[route]
    disable_progress_bar()
    made: Any = pipeline(task, model=checkpoint, dtype=torch.float32)
    return partial(made, **parameters)


def create_app(route: str, checkpoint: str, at_once: int) -> FastAPI:
    """Build the server; `at_once` texts are answered at the same time, each on a thread of its own."""
    answer_text = make_pipeline(route, checkpoint)
    threads = ThreadPoolExecutor(at_once)
    app = FastAPI()

    @app.get("/health/ready")
    async def ready() -> None:
        """Answered once the pipeline is loaded."""

    async def answer(request: TextRequest) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, answer_text, request.inputs)

    model = list[Candidate] if route == "fill-mask" else list[Entity]
    app.add_api_route(f"/{route}", answer, methods=["POST"], response_model=model)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("route", choices=PIPELINES)
    parser.add_argument("checkpoint")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--torch-threads", type=int, default=2, help="threads of one forward pass")
    parser.add_argument("--at-once", type=int, default=1, help="forward passes at the same time")
    options = parser.parse_args()
    torch.set_num_threads(options.torch_threads)
    uvicorn.run(
        create_app(options.route, options.checkpoint, options.at_once),
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
