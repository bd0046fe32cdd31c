"""The peer: FastAPI around sentence-transformers, as tutorials write it.

python -m benchmarks.peers.sentence_server CHECKPOINT --port 8001
"""

from __future__ import annotations

import argparse
import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class EmbedRequest(BaseModel):
    inputs: str | list[str]


def create_app(checkpoint: str) -> FastAPI:
    model = SentenceTransformer(checkpoint, device="cpu")
    app = FastAPI()

    @app.get("/health/ready")
    async def ready() -> None:
        """Answered once the model is loaded."""

    @app.post("/embed")
    def answer(request: EmbedRequest) -> list[list[float]]:
        texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        vectors: list[list[float]] = model.encode(texts, show_progress_bar=False).tolist()
        return vectors

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="FastAPI around sentence-transformers")
    parser.add_argument("checkpoint")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--torch-threads", type=int, default=2, help="threads of one forward pass")
    options = parser.parse_args()
    torch.set_num_threads(options.torch_threads)
    uvicorn.run(create_app(options.checkpoint), host="127.0.0.1", port=options.port, log_level="error")


if __name__ == "__main__":
    sys.exit(main())
