"""The classifier behind LitServe: python -m benchmarks.peers.litserve_server --folder DIR --graph FILE --port 8001"""

from __future__ import annotations

import argparse
import signal
from typing import Any

import litserve

from benchmarks.peers.onnx_classifier import Classifier, options


class ClassifyAPI(litserve.LitAPI):
    """One worker process. LitServe hands over a list only where batches are longer than 1.

    What it decodes and encodes has no annotations: LitServe would read a request's parameters out of them.
    """

    def setup(self, device: str) -> None:
        chosen = options()
        self.classify = Classifier(chosen.folder, chosen.graph, chosen.threads)

    def decode_request(self, request):
        return request["inputs"]

    def predict(self, x: str | list[str]) -> Any:
        return self.classify([x])[0] if isinstance(x, str) else self.classify(x)

    def encode_response(self, output):
        return [output]


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started ignoring it
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port, chosen = parser.parse_known_args()[0].port, options()
    api = ClassifyAPI(max_batch_size=chosen.batch, batch_timeout=chosen.wait_ms / 1000, api_path="/classify")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=chosen.workers, fast_queue=True)
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
