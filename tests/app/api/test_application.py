"""What every request meets first: predictions go straight to their endpoint, all else to the pages."""

import asyncio
import json
import time

import pytest

from app.api.application import Application
from app.api.around import FORWARDED_HOST
from app.api.arrival import ARRIVED
from app.errors import QueueFullError
from app.service import Service
from app.settings import Settings
from tests.app.backends import ToyBackend, ToyModel
from tests.app.calls import BODY, ask

IN_TIME = [(b"x-request-timeout-ms", b"500")]
PREDICTIONS = ["/classify", "/", "/models/toy", "/models/toy:1"]


@pytest.mark.parametrize("path", PREDICTIONS)
@pytest.mark.parametrize("prefix", ["", "/behind/a/proxy"])
def test_a_prediction_is_answered_with_and_without_the_prefix_of_a_mount(path, prefix):
    status, headers, content, _ = ask(path=prefix + path, root_path=prefix)
    assert (status, content, headers["x-model"]) == (200, b"toy", "toy:1")
    assert headers["content-length"] == "3"
    assert headers["server-timing"].startswith("tokenize;dur=1.00, queue;dur=2.00, forward;dur=3.00, total;dur=")


@pytest.mark.parametrize("path", PREDICTIONS)
@pytest.mark.parametrize("prefix", ["", "/behind/a/proxy"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_another_method_on_a_path_of_predictions_is_a_405_that_allows_post(method, path, prefix):
    status, headers, content, _ = ask(method, prefix + path, root_path=prefix)
    allowed = "POST" if path == "/classify" else "GET, HEAD, POST"
    assert (status, headers["allow"]) == (405, allowed)
    assert json.loads(content)["error_type"] == "method_not_allowed"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_task_has_no_page(method):
    assert ask(method, "/classify")[:2][0] == 405


def test_the_page_shares_its_path_with_the_default_task():
    status, headers, _, _ = ask("GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/classify/", 200),
        ("POST", "//classify", 200),
        ("POST", "/models//toy/", 200),
        ("GET", "/classify/", 405),
        ("GET", "/health/", 200),
        ("HEAD", "//health//ready/", 200),
        ("GET", "/models/toy/extra/", 404),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/behind/a/proxy"])
def test_slashes_too_many_are_answered_and_never_redirected(method, path, status, prefix):
    answered, headers, _, _ = ask(method, prefix + path, root_path=prefix)
    assert answered == status
    assert "location" not in headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/classify"),
        ("POST", "/"),
        ("POST", "/models/toy"),
        ("GET", "/health/ready"),
        ("GET", "/"),
        ("GET", "/docs"),
    ],
)
def test_a_prefix_of_the_settings_may_be_left_on_or_taken_off_by_the_proxy(method, path):
    settings = {"root_path": "/nlp/"}
    for given in (path, f"/nlp{path}", f"/nlp{path}/"):
        assert ask(method, given, settings=settings)[0] == 200, given
    assert ask(method, "/nlp", settings=settings)[0] == 200
    assert ask(method, f"/nlpx{path.rstrip('/')}", settings=settings)[0] == 404


@pytest.mark.parametrize(
    ("settings", "scope", "servers"),
    [
        ({}, {}, None),
        ({"root_path": "/nlp"}, {}, [{"url": "/nlp"}]),
        ({"root_path": "/nlp"}, {"path": "/nlp/openapi.json"}, [{"url": "/nlp"}]),
        ({}, {"root_path": "/mounted"}, [{"url": "/mounted"}]),
        ({}, {FORWARDED_HOST: "nlp.example", "scheme": "https"}, [{"url": "https://nlp.example"}]),
    ],
)
def test_the_document_says_where_the_service_is_shown(settings, scope, servers):
    _, _, content, _ = ask("GET", settings=settings, **{"path": "/openapi.json", **scope})
    assert json.loads(content).get("servers") == servers


@pytest.mark.parametrize("path", ["/prefix/classify", "/models/a/b", "/classify/more"])
def test_a_path_that_is_none_is_a_404(path):
    status, _, content, _ = ask(path=path)
    assert status == 404
    assert json.loads(content)["error_type"] == "not_found"


@pytest.mark.parametrize(("path", "status"), [("/classify", 200), ("/nowhere", 404), ("/models/nobody", 404)])
def test_the_caller_s_id_is_kept_and_a_missing_one_made(path, status):
    given = ask(path=path, headers=[(b"x-request-id", b"mine")])
    made = ask(path=path)
    assert (given[0], given[1]["x-request-id"]) == (status, "mine")
    assert len(made[1]["x-request-id"]) == 32


def test_a_call_reaches_the_model_with_its_priority_and_its_deadline():
    backend = ToyBackend()
    ask(backend=backend, headers=[(b"x-priority", b"3"), (b"x-request-timeout-ms", b"5000")])
    ask(backend=backend, path="/models/toy", body=b'{"inputs": "a", "model": "toy"}')
    (first, early, priority), (second, late, none) = backend.model.asked
    assert (first.inputs, second.inputs, priority, none) == ("a good film", "a", 3, 0)
    assert late - early > 20


def test_an_error_of_a_prediction_is_answered_and_counted_by_what_was_known():
    backend = ToyBackend(error=QueueFullError("full", 6.5))
    status, headers, content, _ = ask(backend=backend, headers=[(b"x-request-id", b"mine")])
    assert (status, headers["retry-after"]) == (429, "7")
    assert json.loads(content) == {"error": "full", "error_type": "queue_full", "request_id": "mine"}
    assert backend.value("requests_total", task="classify", model="toy", code="429") == 1
    assert backend.value("rejected_total", reason="queue_full") == 1
    assert backend.value("request_duration_seconds_count", task="classify", model="toy") == 1


@pytest.mark.parametrize(
    ("path", "body", "task", "code"),
    [
        ("/classify", b"{", "classify", "400"),
        ("/models/toy", b"{}", "classify", "422"),
        ("/models/nobody", BODY, "", "404"),
        ("/models/toy", b'{"inputs": "a", "model": "other"}', "classify", "422"),
    ],
)
def test_an_error_before_the_model_is_found_is_counted_without_one(path, body, task, code):
    backend = ToyBackend()
    assert ask(path=path, body=body, backend=backend)[0] == int(code)
    assert backend.value("requests_total", task=task, model="", code=code) == 1


def test_an_error_of_a_page_is_not_counted_as_a_request():
    backend = ToyBackend()
    assert ask("GET", "/models/nobody", backend=backend)[0] == 404
    assert backend.value("requests_total", task="", model="", code="404") is None


def test_a_defect_is_answered_without_its_message_and_raised():
    backend = ToyBackend(error=ZeroDivisionError("a secret"))
    status, _, content, rest = ask(backend=backend)
    assert status == 500
    assert b"secret" not in content
    assert isinstance(rest[-1], ZeroDivisionError)
    assert backend.value("requests_total", task="classify", model="toy", code="500") == 1


def test_a_defect_after_the_answer_is_raised_but_sends_nothing_more():
    backend = ToyBackend()

    class Broken:
        def observe_request(self, *given):
            raise ZeroDivisionError

    backend.model.series = Broken()
    status, _, content, rest = ask(backend=backend)
    assert (status, content) == (200, b"toy")
    assert isinstance(rest[-1], ZeroDivisionError)


@pytest.mark.parametrize(("method", "path"), [("POST", "/classify"), ("POST", "/models/toy"), ("GET", "/health/ready")])
def test_a_service_that_drains_says_so(method, path):
    status, _, content, _ = ask(method, path, draining=True)
    assert status == 503
    assert b"shutting down" in content


def test_the_application_starts_and_stops_its_service():
    backend, steps, sent = ToyBackend(), asyncio.Queue(), []

    async def send(message):
        sent.append(message["type"])
        while "load" not in backend.calls:
            await asyncio.sleep(0)
        await steps.put({"type": "lifespan.shutdown"})

    async def play():
        await steps.put({"type": "lifespan.startup"})
        await Application(Service(Settings(), backend))({"type": "lifespan"}, steps.get, send)

    asyncio.run(play())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert backend.calls == ["start", "load", "stop"]


# --- Deadlines, from a request's arrival on ---------------------------------------------------------------


class SlowModel(ToyModel):
    """Answers as the loop is busy with something else, for longer than the request may take."""

    async def answer(self, request, memory, *, deadline, **more):
        answer = await super().answer(request, memory, deadline=deadline, **more)
        time.sleep(max(0.0, deadline - time.monotonic()) + 0.001)
        return answer


def test_a_request_whose_time_was_over_before_it_was_read_costs_no_work():
    backend = ToyBackend()
    arrived = time.monotonic() - 1
    status, _, content, _ = ask(backend=backend, headers=IN_TIME, body=b"not JSON", **{ARRIVED: arrived})
    assert (status, json.loads(content)["error_type"]) == (504, "deadline_exceeded")
    assert backend.model.asked == []


def test_an_answer_that_comes_too_late_is_not_sent():
    backend = ToyBackend()
    backend.model = SlowModel(backend.metrics)
    status, _, content, _ = ask(backend=backend, headers=IN_TIME)
    assert (status, json.loads(content)["error_type"]) == (504, "deadline_exceeded")
    assert len(backend.model.asked) == 1
    assert backend.value("deadline_missed_total") == 1
    assert backend.value("requests_total", task="classify", model="toy", code="200") == 0


def test_the_time_of_a_request_and_its_deadline_count_from_its_arrival():
    backend = ToyBackend()
    arrived = time.monotonic() - 2
    _, headers, _, _ = ask(backend=backend, headers=[(b"x-request-timeout-ms", b"20000")], **{ARRIVED: arrived})
    [(_, deadline, _)] = backend.model.asked
    assert deadline == arrived + 20
    assert float(headers["server-timing"].rpartition("=")[2]) >= 2000
