"""The OpenAPI document: what each route may answer, who may ask, and what a body may hold."""

import re
import sys

import pytest
from pydantic import TypeAdapter

from app.api.application import Application
from app.api.responses import CODES
from app.errors import ServeError
from app.service import Service
from app.settings import Settings
from app.tasks import TASKS
from app.tasks.base import NOT_BLANK
from tests.app.backends import ToyBackend

STATUSES = ["200", "400", "404", "413", "415", "422", "429", "500", "503", "504"]
PREDICTIONS = ["/", *(f"/{task.route}" for task in TASKS.values()), "/models/{name}"]
OF_PROTOCOLS = ["/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer", "/invocations"]


def document(**settings):
    return Application(Service(Settings(**settings), ToyBackend())).openapi()


def operations(described):
    return {(path, method): found for path, methods in described["paths"].items() for method, found in methods.items()}


def codes_in(operation, status):
    schema = operation["responses"][status]["content"]["application/json"]["schema"]
    return schema["allOf"][1]["properties"]["error_type"]["enum"]


def test_each_route_has_its_own_statuses():
    described = operations(document())
    assert [*described["/metrics", "get"]["responses"]] == ["200"]
    assert [*described["/models/{name}", "get"]["responses"]] == ["200", "404"]
    assert [*described["/health/live", "get"]["responses"]] == ["200", "503"]
    for path in (*PREDICTIONS, *OF_PROTOCOLS):
        assert [*described[path, "post"]["responses"]] == [
            "200",
            "400",
            "404",
            "413",
            "415",
            "422",
            "429",
            "500",
            "503",
            "504",
        ]
    assert codes_in(described["/ner", "post"], "404") == ["model_not_found"]
    assert codes_in(described["/models/{name}", "post"], "404") == ["model_not_found", "not_found"]


def test_the_default_route_has_the_title_of_its_task_which_no_other_has():
    """By it the page knows with which task to begin."""
    titles = {
        path: operation["summary"]
        for (path, _), operation in operations(document(default_route="ner")).items()
        if "predictions" in operation["tags"]
    }
    assert [path for path, title in titles.items() if title == titles["/"]] == ["/", "/ner"]


ORDERS = ["/admin/reload", *(f"/admin/models/{{name}}/{order}" for order in ("load", "unload", "default"))]


OTHERS = {("/metrics", "get"), ("/admin/log-levels", "get"), ("/admin/log-levels", "put")}


def test_with_keys_the_document_says_who_needs_one():
    described = document(api_keys=["a-key"], access={"models": "open"})
    assert described["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
    found = operations(described)
    secured = {place for place, operation in found.items() if "security" in operation}
    assert secured == {(path, "post") for path in (*PREDICTIONS, *OF_PROTOCOLS, *ORDERS)} | OTHERS
    for place in secured:
        assert {"401", "403"} <= found[place]["responses"].keys()
    assert codes_in(found["/ner", "post"], "429") == ["displaced", "queue_full", "rate_limited"]
    assert not [place for place, operation in operations(document()).items() if "security" in operation]


def test_of_several_codes_of_a_status_each_has_its_own_meaning():
    answers = operations(document(api_keys=["a-key"]))["/ner", "post"]["responses"]
    for status in ("400", "429", "503"):
        assert re.findall(r"`(\w+)`: ", answers[status]["description"]) == codes_in({"responses": answers}, status)
    assert answers["404"]["description"] == "Not Found. No loaded model has that name, version or task."


def test_every_code_of_an_error_is_listed():
    described = document(api_keys=["a-key"])
    kinds = [ServeError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert described["components"]["schemas"]["ErrorBody"]["properties"]["error_type"]["enum"] == CODES
    assert {kind.code for kind in kinds if hasattr(kind, "code")} <= set(CODES)


def test_lists_of_texts_are_bounded_as_the_setting_says():
    inputs = operations(document(max_inputs=7))["/ner", "post"]["requestBody"]["content"]["application/json"]["schema"]
    (texts,) = [branch for branch in inputs["properties"]["inputs"]["oneOf"] if branch["type"] == "array"]
    assert (texts["minItems"], texts["maxItems"]) == (1, 7)


def test_headers_in_and_out_are_described():
    operation = operations(document())["/classify", "post"]
    assert {parameter["name"] for parameter in operation["parameters"]} == {
        *("X-Request-Id", "X-Request-Timeout-Ms", "X-Priority", "model")
    }
    assert operation["responses"]["200"]["headers"].keys() == {"X-Request-Id", "X-Model", "Server-Timing"}
    assert "Retry-After" in operation["responses"]["503"]["headers"]


def test_a_page_that_is_off_is_not_described():
    paths = document(access={"models": "off", "metrics": "off", "page": "off"})["paths"]
    assert "/metrics" not in paths
    assert [*paths["/models/{name}"]] == ["post"]
    assert [*paths["/"]] == ["post"]


@pytest.mark.parametrize("planes", [range(0xD800), range(0xE000, sys.maxunicode + 1)], ids=["below", "above"])
def test_the_pattern_of_a_text_is_what_is_not_white_space(planes):
    pattern = re.compile(NOT_BLANK)
    assert [code for code in planes if bool(pattern.search(chr(code))) == chr(code).isspace()] == []


# Words of how the service is made, which mean nothing to who asks it.
INSIDE = re.compile(
    r"\b(State:|runners?|forward pass|ticket|lane|scheduler|registry|docstring|pydantic)\b|`app[./]|\bapp/"
)


def texts_in(value):
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("description", "summary") and isinstance(each, str):
                yield each
            else:
                yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)


def test_descriptions_speak_to_who_asks():
    described = document(api_keys=["a-key"])
    assert [text for text in texts_in(described) if INSIDE.search(text)] == []
    assert [place for place, each in operations(described).items() if not each.get("description")] == []


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_an_example_is_in_the_document_and_what_its_types_say(task):
    operation = operations(document())[f"/{task.route}", "post"]
    request = operation["requestBody"]["content"]["application/json"]
    assert request["schema"]["examples"] == [task.example]
    if task.answered is not None:
        assert request["example"] == task.answered.body
        assert operation["responses"]["200"]["content"]["application/json"]["example"] == task.answered.answer
        task.request_type.model_validate(task.answered.body)
        TypeAdapter(task.answer_type).validate_python(task.answered.answer)
