"""The list of tasks: made of the modules in the folder, by what each says of itself."""

import json
import subprocess
import sys

import pytest
from pydantic import TypeAdapter

from app.bundle import BundleError
from app.tasks import DEFAULT_ROUTE, MODEL_TASKS, TASKS, open_task, task_named, task_of
from app.tasks.base import by_input
from app.tasks.discovery import default_route_of, find_tasks
from tests.app.builders import make_manifest

TASK = """
from app.tasks.base import Task, TextsRequest

class {name}(Task):
    name, route, architecture = {words}
    is_default = {is_default}
    request_type, answer_type, example = TextsRequest, list, {{"inputs": "a"}}

    def encode(self, request): ...
    def decode(self, request, state, outputs): ...
    def probe(self, text): ...
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that writes modules, by name, and finds the tasks in them."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "tasks_of_a_test").mkdir()

    def find(**modules):
        for name, source in modules.items():
            (tmp_path / "tasks_of_a_test" / f"{name}.py").write_text(source)
        for name in [name for name in sys.modules if name.startswith("tasks_of_a_test")]:
            monkeypatch.delitem(sys.modules, name)
        return find_tasks("tasks_of_a_test")

    return find


def source(name, *words, is_default=False):
    return TASK.format(name=name, words=words, is_default=is_default)


def test_a_file_is_a_task(package):
    one, other = source("One", "one-task", "one", "ForOne"), source("Other", "other-task", "other", None)
    found = package(b=one, a=other, c="from tasks_of_a_test.b import One\nhelper = 1\n")
    assert [(name, task.__name__) for name, task in found.items()] == [("other-task", "Other"), ("one-task", "One")]


def test_an_unfinished_task_is_none(package):
    abstract = "from app.tasks.base import Task\n\nclass Half(Task):\n    name = 'half'\n"
    assert package(a=abstract) == {}


@pytest.mark.parametrize(
    ("words", "shared"),
    [
        (("one-task", "other", "ForOther"), "one-task"),
        (("other-task", "one", "ForOther"), "one"),
        (("other-task", "other", "ForOne"), "ForOne"),
        (("one", "other", "ForOther"), "one"),
    ],
)
def test_two_tasks_that_claim_one_word_are_an_error_that_names_both_files(words, shared, package):
    with pytest.raises(ImportError, match=rf"first\.py and .*second\.py both claim '{shared}'"):
        package(first=source("One", "one-task", "one", "ForOne"), second=source("Other", *words))


def test_several_tasks_may_have_no_architecture(package):
    assert len(package(a=source("A", "a-task", "a", None), b=source("B", "b-task", "b", None))) == 2


@pytest.mark.parametrize(("defaults", "sentence"), [((), "not none"), ((True, True), "not a, b")])
def test_one_task_is_the_default(defaults, sentence, package):
    modules = {
        name: source(name.upper(), f"{name}-task", name, None, is_default=is_default)
        for name, is_default in zip("ab", defaults, strict=False)
    }
    with pytest.raises(ImportError, match=sentence):
        default_route_of(package(**modules))


SECONDARY = """
from app.tasks.base import SecondaryTask, TextsRequest

class Other(SecondaryTask):
    name, route, models_of = "other-task", "other", ({model!r},)
    request_type, answer_type, example = TextsRequest, list, {{"inputs": "a"}}

    def encode(self, request): ...
    def decode(self, request, state, outputs): ...
"""


def test_a_secondary_task_is_asked_of_the_models_of_a_task_that_there_is(package):
    one = source("One", "one-task", "one", "ForOne")
    assert list(package(a=one, b=SECONDARY.format(model="one-task"))) == ["one-task", "other-task"]
    for model in ("nothing", "other-task"):
        with pytest.raises(ImportError, match=rf"b\.py: models_of names '{model}', which has no models"):
            package(a=one, b=SECONDARY.format(model=model))


def test_the_tasks_that_are_served():
    assert {name: task.route for name, task in TASKS.items()}.items() >= {
        "feature-extraction": "embed",
        "fill-mask": "fill-mask",
        "question-answering": "question-answering",
        "text-classification": "classify",
        "token-classification": "ner",
    }.items()
    assert DEFAULT_ROUTE == "classify"


def test_the_list_is_the_same_in_every_process():
    code = "from app.tasks import TASKS; print(*TASKS)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert names == list(TASKS)


# --- What each task says of itself ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architectures", "name"),
    [
        (["RobertaForSequenceClassification"], "text-classification"),
        (["XLMRobertaForTokenClassification"], "token-classification"),
        (["Unknown", "BertForMaskedLM"], "fill-mask"),
    ],
)
def test_the_task_of_a_checkpoint_is_that_of_its_class(architectures, name):
    assert task_of({"architectures": architectures}).name == name


@pytest.mark.parametrize("config", [{}, {"architectures": None}, {"architectures": ["RobertaForMultipleChoice"]}])
def test_a_checkpoint_of_no_task_is_refused(config):
    with pytest.raises(BundleError, match="name no task served here"):
        task_of(config)


def test_an_unknown_task_is_refused_with_those_that_there_are():
    with pytest.raises(
        BundleError, match=f"task 'translation' is not served here; there are {', '.join(sorted(MODEL_TASKS))}"
    ):
        task_named("translation")


CONFIG = {"id2label": {"0": "a", "1": "b"}, "vocab_size": 320, "hidden_size": 48}
FIELDS = {
    "feature-extraction": {"task_settings": {"dimensions": 48, "normalize": False}},
    "fill-mask": {},
    "text-classification": {"labels": ["a", "b"], "problem_type": "single_label_classification"},
    "token-classification": {"labels": ["a", "b"]},
}


@pytest.mark.parametrize("name", FIELDS)
def test_the_fields_of_a_manifest_that_depend_on_the_task(name):
    assert MODEL_TASKS[name].manifest_fields(CONFIG) == FIELDS[name]
    assert MODEL_TASKS[name].has_labels == ("labels" in FIELDS[name])


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("RobertaModel", "feature-extraction"),
        ("RobertaForMaskedLM", "fill-mask"),
        ("BertForTokenClassification", "token-classification"),
    ],
)
def test_a_checkpoint_is_of_the_task_that_its_class_names(architecture, name):
    assert task_of({"architectures": [architecture]}).name == name


@pytest.mark.parametrize(
    ("name", "labels", "config", "width"),
    [
        ("text-classification", ["a", "b"], CONFIG, 2),
        ("token-classification", ["a", "b"], {}, 2),
        ("fill-mask", [], CONFIG, 320),
        ("fill-mask", [], {}, None),
        ("fill-mask", [], {"vocab_size": "many"}, None),
    ],
)
def test_the_columns_that_an_output_must_have(name, labels, config, width):
    assert MODEL_TASKS[name].width(make_manifest(task=name, labels=labels), config) == width


@pytest.mark.parametrize("name", TASKS)
def test_the_example_of_a_task_is_a_request_and_stands_in_its_schema(name):
    task = TASKS[name]
    assert task.request_type.model_validate(task.example).count_inputs() >= 1
    assert TypeAdapter(task.request_type).json_schema()["examples"] == [task.example]
    json.dumps(task.example)


def test_a_task_is_opened_with_the_tokenizer_and_what_was_fitted_for_the_graph(fp32_bundle):
    task = open_task(fp32_bundle, "fp32")
    assert type(task) is TASKS["token-classification"]
    assert task.temperature == fp32_bundle.manifest.graphs["fp32"].temperature
    assert task.encoder.max_length == fp32_bundle.manifest.max_length


def test_outputs_are_dealt_out_by_the_windows_of_each_input():
    assert [list(part) for part in by_input([1, 2, 3, 4], [2, 0, 1])] == [[1, 2], [], [3]]
