"""The real clients of `huggingface_hub`, one blocking and one not, against the shipped bundles, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.support.server import SHAPES, Service, serve_as

pytestmark = pytest.mark.usefixtures("hub_clients")

TOKEN = "hf_saved_on_this_machine"
PRAISE = "A warm, funny and beautifully acted film."
NAMES = "Angela Merkel met Emmanuel Macron in Paris."
MASKED = "Paris is the <mask> of France."


@pytest.fixture(scope="module", params=SHAPES)
def shipped(request, shipped_models, tmp_path_factory) -> Iterator[Service]:
    """Serve the bundles of the repository in each shape."""
    with serve_as(request.param, shipped_models, tmp_path_factory.mktemp("shipped")) as service:
        yield service


@pytest.fixture
def client(shipped):
    """Make a client of a route, with a token that the service never asked for."""
    return lambda route: InferenceClient(model=f"{shipped.url}{route}", token=TOKEN)


def test_text_classification(client):
    best, other = client("/classify").text_classification(PRAISE)

    assert (best.label, other.label) == ("positive", "negative")
    assert best.score > 0.8
    assert best.score + other.score == pytest.approx(1, abs=1e-4)


def test_text_classification_with_parameters(client):
    (best,) = client("/classify").text_classification(PRAISE, top_k=1, function_to_apply="none")

    assert best.label == "positive"
    assert best.score > 1


def test_text_classification_by_base_url(shipped):
    client = InferenceClient(base_url=shipped.url, token=TOKEN)

    assert client.text_classification(PRAISE)[0].label == "positive"


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
def test_token_classification(client, strategy):
    entities = client("/ner").token_classification(NAMES, aggregation_strategy=strategy)

    assert [(entity.entity_group, entity.word) for entity in entities] == [
        ("PER", "Angela Merkel"),
        ("PER", "Emmanuel Macron"),
        ("LOC", "Paris"),
    ]
    assert [NAMES[entity.start : entity.end] for entity in entities] == [entity.word for entity in entities]


def test_token_classification_without_aggregation(client):
    entities = client("/ner").token_classification(NAMES, aggregation_strategy="none", ignore_labels=["O", "B-LOC"])

    assert {entity["entity"] for entity in entities} == {"B-PER", "I-PER"}


def test_fill_mask(client):
    candidates = client("/fill-mask").fill_mask(MASKED)

    assert len(candidates) == 5
    assert all(candidate.sequence == f"Paris is the{candidate.token_str} of France." for candidate in candidates)
    assert [candidate.score for candidate in candidates] == sorted((c.score for c in candidates), reverse=True)


def test_fill_mask_with_targets_and_top_k(client):
    (best,) = client("/fill-mask").fill_mask(MASKED, targets=["city", "president"], top_k=1)

    assert best.token_str.strip() in ("city", "president")


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda client: client("/classify").text_classification(""), "inputs: the text is empty"),
        (lambda client: client("/fill-mask").fill_mask("no gap"), "has no <mask> to fill"),
        (lambda client: client("/fill-mask").fill_mask(MASKED, targets=["xyzzyish"]), "targets.0: is not one token"),
        (lambda client: client("/models/nobody").text_classification(PRAISE), "there is no model 'nobody'"),
        # The client would return the first answer of these and say nothing of the others.
        (lambda client: client("/classify").text_classification([PRAISE, PRAISE]), "the first text alone"),
        (lambda client: client("/models/sentiment").text_classification([PRAISE, PRAISE]), "the first text alone"),
    ],
)
def test_what_is_wrong_reaches_the_user(client, ask, words):
    with pytest.raises(HfHubHTTPError) as caught:
        ask(client)

    assert words in str(caught.value)
    assert caught.value.request_id is None or caught.value.request_id in str(caught.value)


@pytest.mark.parametrize("route", ["/classify", "/ner", "/fill-mask", ""])
def test_health_and_info(shipped, route):
    client = InferenceClient(model=f"{shipped.url}{route}", provider="hf-inference", token=TOKEN)

    assert client.health_check() is True
    info = client.get_endpoint_info()

    assert info["service"] == "roberta-serve"
    assert route == "" or info["task"] == route[1:]


async def ask_everything(url: str):
    """Ask each task with its parameters, all at once."""
    classify, ner, fill_mask = (f"{url}/{route}" for route in ("classify", "ner", "fill-mask"))
    async with AsyncInferenceClient(token=TOKEN) as client:
        return await asyncio.gather(
            client.text_classification(PRAISE, model=classify),
            client.text_classification(PRAISE, model=classify, top_k=1, function_to_apply="sigmoid"),
            client.token_classification(
                NAMES, model=ner, aggregation_strategy="max", ignore_labels=["O", "LOC"], stride=16
            ),
            client.fill_mask(MASKED, model=fill_mask, top_k=3),
            client.fill_mask(MASKED, model=fill_mask, targets=["capital", "city"]),
        )


def test_the_asynchronous_client(shipped):
    both, (best,), entities, filled, targeted = asyncio.run(ask_everything(shipped.url))

    assert [entry.label for entry in both] == ["positive", "negative"]
    assert best.label == "positive"
    assert [entity.word for entity in entities] == ["Angela Merkel", "Emmanuel Macron"]
    assert (len(filled), filled[0].token_str) == (3, " capital")
    assert {candidate.token_str.strip() for candidate in targeted} == {"capital", "city"}
