"""The classifier behind mosec: python -m benchmarks.peers.mosec_server --folder DIR --graph FILE --port 8001"""

from __future__ import annotations

import json
from typing import Any

import mosec

from benchmarks.peers.onnx_classifier import Classifier, options


class ClassifyWorker(mosec.Worker):
    """One worker process. mosec hands over a list only where batches are longer than 1."""

    def __init__(self) -> None:
        super().__init__()
        chosen = options()
        self.classify = Classifier(chosen.folder, chosen.graph, chosen.threads)

    def forward(self, data: Any) -> Any:
        if self.max_batch_size == 1:
            return self.classify([data["inputs"]])
        return [[ranked] for ranked in self.classify([request["inputs"] for request in data])]

    def serialize(self, data: Any) -> bytes:
        return json.dumps(data).encode()  # mosec's own indents, in slow Python


def main() -> None:
    chosen = options()
    server = mosec.Server()
    server.append_worker(
        ClassifyWorker,
        num=chosen.workers,
        max_batch_size=chosen.batch,
        max_wait_time=chosen.wait_ms,
        route="/classify",
    )
    server.run()


if __name__ == "__main__":
    main()
