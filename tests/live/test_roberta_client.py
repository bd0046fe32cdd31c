"""The Python client against the service: every method, blocking and not, is answered as the route answers."""

from __future__ import annotations

import asyncio
import inspect
from hashlib import sha256

import pytest
from roberta_client import AsyncClient, Client, RefusedError

from tests.support.answers import assert_alike
from tests.support.server import SHAPES, serve_as

QUESTION, CONTEXT = "where did Ada meet Bob ?", "Ada Byron met Bob in Paris and Rome ."
KEY = "a-key-of-the-tests-that-is-long-enough"
LABELS = ["a good film", "Paris"]
TEXTS = ["a good film", "Ada Byron met Bob in Paris"]
TOLERANCE = 1e-3  # of a score: batches of other sizes add in another order

ASKED = {  # what each method is given, and the body that is the same
    "question_answering": (
        ([(QUESTION, CONTEXT)],),
        "question-answering",
        [{"question": QUESTION, "context": CONTEXT}],
    ),
    "embed": ((TEXTS,), "embed", TEXTS),
    "similarity": ((TEXTS[0], TEXTS), "similarity", {"source_sentence": TEXTS[0], "sentences": TEXTS}),
    "zero_shot": ((TEXTS, LABELS), "zero-shot", TEXTS),
    "explain": ((TEXTS,), "explain", TEXTS),
    "summarize": ((TEXTS,), "summarize", TEXTS),
    "classify": ((TEXTS,), "classify", TEXTS),
    "ner": ((TEXTS,), "ner", TEXTS),
    "fill_mask": ((["a <mask> film"],), "fill-mask", ["a <mask> film"]),
}


@pytest.mark.parametrize("method", ASKED)
def test_methods_answer_as_routes_do(method, toys, tiny):
    arguments, route, inputs = ASKED[method]
    service = tiny if method in ("classify", "ner", "fill_mask") else toys
    parameters = {"candidate_labels": LABELS} if method == "zero_shot" else {}
    expected = service.client.post(f"/{route}", json={"inputs": inputs, "parameters": parameters}).json()

    async def ask() -> object:
        async with AsyncClient(service.url) as client:
            return await getattr(client, method)(*arguments)

    with Client(service.url) as client:
        assert_alike(getattr(client, method)(*arguments), expected, TOLERANCE)
    assert_alike(asyncio.run(ask()), expected, TOLERANCE)


def test_both_clients_have_the_same_methods_with_the_same_arguments():
    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(each).parameters)
            for name, each in vars(kind).items()
            if callable(each) and not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)


@pytest.mark.parametrize("shape", SHAPES)
def test_more_than_the_service_takes_at_a_time_is_answered_whole(shape, tiny_models, tmp_path):
    keys = tmp_path / "keys.toml"
    digest = sha256(KEY.encode()).hexdigest()
    keys.write_text(f'[many]\nsha256 = "{digest}"\nconcurrent_requests = 1\nscopes = ["predict", "metrics"]\n')
    texts = [*TEXTS * 16, ""]
    with (
        serve_as(shape, tiny_models, tmp_path, runners=1, api_keys_file=str(keys)) as service,
        Client(service.url, key=KEY, chunk=4, in_flight=8) as client,
    ):
        answers = client.classify(texts, errors="return", top_k=1)
        service.client.headers["authorization"] = f"Bearer {KEY}"
        assert service.metric("roberta_rejected_total", reason="rate_limited") > 0
    assert isinstance(answers.pop(), RefusedError)
    assert_alike(answers, answers[:2] * 16, TOLERANCE)


def test_models_are_listed_and_refusals_are_the_service_s_words(tiny):
    with Client(tiny.url) as client:
        assert "tiny-classify" in {model["name"] for model in client.models()}
        with pytest.raises(RefusedError, match="there is no model 'nobody'") as caught:
            client.ask("models/nobody", "a")
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
