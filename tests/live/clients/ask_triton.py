"""Ask a service through NVIDIA's tritonclient, blocking and asyncio, and print what comes back as JSON.

It runs in an environment that has nothing of ours: `python ask_triton.py HOST:PORT`.
"""

import asyncio
import json
import sys

import numpy as np
import tritonclient.http as blocking
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

TEXTS = ["a good film", "ein schöner Film"]
MODEL = "tiny-classify"
BEST = {"top_k": 1}


def tensor(kind, texts, name="text", binary=True):
    made = kind.InferInput(name, [len(texts)], "BYTES")
    made.set_data_from_numpy(np.array(texts, dtype=object), binary_data=binary)
    return made


def shown(answer):
    """Return the best labels with their scores, whatever they came as."""
    labels = [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("label")]
    return {"label": labels, "score": answer.as_numpy("score").tolist()}


def message(ask):
    try:
        ask()
    except InferenceServerException as error:
        return error.message()
    raise AssertionError("no error")


def blockingly(url):
    client = blocking.InferenceServerClient(url)
    outputs = [blocking.InferRequestedOutput(name, binary_data=False) for name in ("label", "score")]
    asked = {
        "json": client.infer(MODEL, [tensor(blocking, TEXTS, binary=False)], outputs=outputs, parameters=BEST),
        "binary": client.infer(MODEL, [tensor(blocking, TEXTS)], parameters=BEST, request_id="1", timeout=60_000_000),
        "compressed": client.infer(
            "classify", [tensor(blocking, TEXTS)], parameters=BEST, request_compression_algorithm="gzip"
        ),
    }
    ner = client.infer("tiny-ner", [tensor(blocking, ["Ada Byron"])], parameters={"aggregation_strategy": "none"})
    pair = client.infer(MODEL, [tensor(blocking, ["a"]), tensor(blocking, ["b"], name="text_pair")])
    return {
        **{way: shown(answer) for way, answer in asked.items()},
        "entities": [each.decode() for each in ner.as_numpy("entities")],
        "pair": shown(pair),
        "ready": [
            client.is_server_live(),
            client.is_server_ready(),
            client.is_model_ready(MODEL),
            client.is_model_ready(MODEL, "1"),
            client.is_model_ready("ner"),
            client.is_model_ready("nobody"),
        ],
        "metadata": client.get_model_metadata(MODEL),
        "server": client.get_server_metadata(),
        "unknown": message(lambda: client.infer("nobody", [tensor(blocking, TEXTS)])),
        "empty": message(lambda: client.infer(MODEL, [tensor(blocking, [""])])),
    }


async def with_asyncio(url):
    async with aio.InferenceServerClient(url) as client:
        assert await client.is_server_ready()
        assert await client.is_model_ready(MODEL)
        assert (await client.get_model_metadata(MODEL, "1"))["versions"] == ["1"]
        return shown(await client.infer(MODEL, [tensor(aio, TEXTS)], parameters=BEST))


url = sys.argv[1]
sys.stdout.write(json.dumps(blockingly(url) | {"asyncio": asyncio.run(with_asyncio(url))}))
