"""Tasks that are asked of the models of other tasks: which model answers, and what is said where none can."""

import asyncio
import time

import pytest

import app.tasks
from app.bundle.defaults import set_default
from app.errors import ModelNotFoundError, NotReadyError
from app.serving import defaults, registry
from app.serving.memory import AnswerMemory
from app.serving.pipeline import Shared
from app.serving.pool import Pool
from app.tasks.base import Encoded, SecondaryTask, TextsRequest
from app.tasks.classify import Classify, ClassifyRequest
from tests.app.builders import write_bundle
from tests.app.registries import load


class Agreeing(SecondaryTask[TextsRequest, Encoded]):
    """How much each text says yes."""

    name, route, models_of, priority = "agreeing", "agree", ("text-classification",), -5
    request_type, answer_type, example = TextsRequest, list[float], {"inputs": "yes"}

    @classmethod
    def reason_against(cls, manifest):
        return None if "yes" in manifest.labels else f"has no label yes among {', '.join(manifest.labels)}"

    def encode(self, request):
        return Classify(self.manifest, self.encoder, self).encode(ClassifyRequest(inputs=request.texts()))

    def decode(self, request, state, outputs):
        return [float(output[0, self.manifest.labels.index("yes")]) for output in outputs]


@pytest.fixture
def agreeing(monkeypatch):
    monkeypatch.setattr(app.tasks, "SECONDARY_TASKS", {Agreeing.name: Agreeing})
    for module in (defaults, registry):
        monkeypatch.setattr(module, "ROUTES", (*defaults.ROUTES, Agreeing.route))


@pytest.fixture
def two(tmp_path, byte_level, agreeing):
    write_bundle(tmp_path, byte_level, name="colors", labels=["red", "green", "blue"])
    write_bundle(tmp_path, byte_level, name="opinions", labels=["no", "perhaps", "yes"])
    return tmp_path


def test_the_first_model_that_can_answers(two):
    models = load(two)
    assert models.find("agree", None).id == "opinions:1"
    assert models.find("classify", None).id == "colors:1"
    assert models.answering() == {"agree": "opinions", "classify": "colors"}
    assert list(models.find(None, "opinions").pipelines) == ["classify", "agree"]
    assert list(models.find(None, "colors").pipelines) == ["classify"]


def test_a_model_that_cannot_is_refused_with_the_reason(two):
    with pytest.raises(ModelNotFoundError, match="'colors' has no label yes among red, green, blue"):
        load(two).find("agree", "colors")


def test_where_no_model_can_the_reason_of_one_is_said(tmp_path, byte_level, agreeing):
    write_bundle(tmp_path, byte_level, name="colors", labels=["red", "green", "blue"])
    with pytest.raises(ModelNotFoundError, match=r"no model for /agree is loaded \('colors' has no label yes among"):
        load(tmp_path).find("agree", None)


def test_the_default_of_its_models_own_task_answers_where_it_can(two, byte_level):
    write_bundle(two, byte_level, name="votes", labels=["yes", "no", "abstention"])
    set_default(two, "classify", "votes")
    assert load(two).find("agree", None).id == "votes:1"
    set_default(two, "classify", "colors")
    assert load(two).find("agree", None).id == "opinions:1"
    set_default(two, "agree", "votes")
    assert load(two).find("agree", None).id == "votes:1"


def test_a_default_that_cannot_answer_is_said_and_not_replaced(two):
    models = load(two)
    set_default(two, "agree", "colors")
    models.load()
    (problem,) = models.table.problems
    assert "the default of /agree, 'colors', has no label yes" in problem
    assert models.find("agree", None).id == "opinions:1"  # which answered before


def test_a_default_of_its_models_own_task_that_is_not_honored_is_not_replaced_either(two):
    set_default(two, "classify", "gone")
    with pytest.raises(NotReadyError, match="the default of /classify, 'gone', is not served"):
        load(two).find("agree", None)


def test_its_priority_is_added_to_that_of_a_request(two):
    pipeline = load(two).find("agree", None).pipelines["agree"]
    asked = []

    class Lane:
        max_batch_tokens = 64

        async def submit(self, windows, *, deadline, priority=0):
            asked.append(priority)
            raise NotReadyError("that is all")

    pipeline.lane = Lane()
    work = pipeline.answer(
        TextsRequest(inputs="a"), Shared(Pool(1, 2**20), AnswerMemory(2**20)), deadline=time.monotonic() + 9, priority=2
    )
    with pytest.raises(NotReadyError):
        asyncio.run(work)
    assert asked == [-3]


def test_what_a_model_answers_is_counted_by_the_route(two):
    models = load(two)
    exposed = {
        sample.labels["task"]
        for family in models.metrics.collect()
        for sample in family.samples
        if family.name == "roberta_request_duration_seconds"
    }
    assert exposed == {"classify", "agree"}


def test_a_model_of_the_first_of_its_tasks_answers(two, byte_level, monkeypatch):
    monkeypatch.setattr(Agreeing, "models_of", ("text-classification", "token-classification"))
    write_bundle(two, byte_level, name="a-tagger", task="token-classification", labels=["O", "yes", "no"])
    models = load(two)
    assert models.find("agree", None).id == "opinions:1"
    assert models.find("agree", "a-tagger").id == "a-tagger:1"
